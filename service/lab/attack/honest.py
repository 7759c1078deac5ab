"""Cobalt's own webhooks, a few a second, while strangers do what they want: they must be answered as ever."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from service.lab.attack.finding import SLOWEST_ANSWER
from service.lab.attack.wire import say
from service.lab.bench.requests import Events

COBALTS_TIMEOUT = 5.0  # seconds; Cobalt's
KEPT = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED})  # in the tables, or on the disk until they are


@dataclass(frozen=True)
class Sent:
    """One webhook; `status` is None where no answer came in Cobalt's patience."""

    at: float
    seconds: float
    status: int | None


@dataclass(frozen=True)
class Answers:
    """How webhooks were answered in a while.

    Attributes:
        missed: what came instead of a 2xx.
        slowest: seconds.
    """

    sent: int
    missed: Sequence[str]
    slowest: float

    @property
    def hurts(self) -> bool:
        """Whether one was refused, not answered or answered late; or none was sent, which proves nothing."""
        return not self.sent or bool(self.missed) or self.slowest > SLOWEST_ANSWER

    def __str__(self) -> str:
        missed = f", {len(self.missed)} NOT KEPT ({', '.join(sorted(set(self.missed)))})" if self.missed else ""
        return f"{self.sent} webhooks{missed}, slowest {self.slowest:.2f} s"


class Honest:
    """Sends signed webhooks at a steady pace, each on a connection of its own; a context manager.

    Args:
        port: of the web instance.
        secret: signs them.
        account: that they are about.
        rate: webhooks a second.
    """

    def __init__(self, port: int, secret: str, account: str, *, rate: float = 10) -> None:
        self._port = port
        self._interval = 1 / rate
        self._events = Events(secret, account)
        self._waiting: list[float] = []
        self._sent: list[Sent] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        # As many as may wait at once.
        self._pool = ThreadPoolExecutor(round(COBALTS_TIMEOUT * rate) + 1, thread_name_prefix="honest")
        self._thread = threading.Thread(target=self._pace, name="honest", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()

    def answers(self, since: float) -> Answers:
        """How those were answered that were sent between that moment of the monotonic clock and now."""
        until = time.monotonic()
        deadline = until + COBALTS_TIMEOUT + 1
        while self._under_way(since, until) and time.monotonic() < deadline:
            time.sleep(0.02)
        with self._lock:
            mine = [one for one in self._sent if since <= one.at <= until]
        late = self._under_way(since, until)
        missed = [str(one.status or "no answer") for one in mine if one.status not in KEPT] + ["late"] * late
        return Answers(len(mine) + late, missed, max((one.seconds for one in mine), default=0.0))

    def _under_way(self, since: float, until: float) -> int:
        with self._lock:
            return sum(since <= at <= until for at in self._waiting)

    def _pace(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._interval, time.monotonic() - self._interval)
            request = self._events.unknown(1)[0]
            self._pool.submit(self._send, request)

    def _send(self, request: bytes) -> None:
        at = time.monotonic()
        with self._lock:
            self._waiting.append(at)
        heard = say(self._port, request, patience=COBALTS_TIMEOUT, settled=0.01)
        seconds = time.monotonic() - at
        with self._lock:
            self._waiting.remove(at)
            self._sent.append(Sent(at, seconds, heard.statuses[0] if heard.statuses else None))
