"""Those who ask for appointments: over HTTP, at a steady pace, again until they have an answer."""

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from http import HTTPStatus

import httpx

from service.lab.processes import NO_TLS

CALLERS = 16  # a frozen PostgreSQL holds some of them for seconds each
TIMEOUT = 4.0  # seconds a caller waits for an answer before it asks the other instance
PAUSE = 0.3  # seconds before it asks again
FIRST_DAY = date(2030, 1, 1)
HOURS = range(8, 18)

# The sandbox's triggers that leave the MRN alone: it has to be unique, to tell one request from another.
OUTCOMES: Sequence[tuple[float, Mapping[str, str]]] = (
    (0.10, {"type": "Annual Wellness Visit"}),
    (0.20, {"provider": "Dr. Unknown"}),
    (0.25, {"location": "Admin Block"}),
    (0.30, {"location": "Double Booked"}),
    (1.00, {}),
)


@dataclass(frozen=True)
class Taken:
    """A request that was answered 202: from then on it must never get lost."""

    mrn: str
    id: str
    calls: int


class Callers:
    """Ask both web instances for so many appointments, each with an Idempotency-Key of its own.

    Args:
        urls: of the web instances.
        api_key: may write.
        seed: decides what is asked for.
        appointments: how many.
        seconds: over which the first calls are spread.
    """

    def __init__(self, urls: Sequence[str], api_key: str, *, seed: int, appointments: int, seconds: float) -> None:
        self.taken: list[Taken] = []
        self.refused: list[str] = []
        self.counts: Counter[str] = Counter()
        self.asked = appointments
        self._urls = urls
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._seed = seed
        self._interval = seconds / appointments
        self._due: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(CALLERS)]
        self._threads.append(threading.Thread(target=self._pace, daemon=True))

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def join(self, until: float) -> bool:
        """Wait until every request has its answer, or until that moment of the monotonic clock; tell which."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _pace(self) -> None:
        began = time.monotonic()
        for number in range(1, self.asked + 1):
            self._due.put(number)
            if self._stop.wait(max(0.0, began + number * self._interval - time.monotonic())):
                break
        for _ in range(CALLERS):
            self._due.put(None)

    def _work(self) -> None:
        # trust_env: a proxy named in the environment has no business between us and our own children.
        with httpx.Client(headers=self._headers, timeout=TIMEOUT, trust_env=False, verify=NO_TLS) as client:
            while (number := self._due.get()) is not None:
                self._ask(client, number)

    def _ask(self, client: httpx.Client, number: int) -> None:
        body = request_body(self._seed, number)
        key = {"Idempotency-Key": f'"drill-{self._seed}-{number}"'}
        calls = 0
        while not self._stop.is_set():
            url = f"{self._urls[(number + calls) % len(self._urls)]}/v1/appointments"
            calls += 1
            try:
                answer = client.post(url, json=body, headers=key)
            except httpx.HTTPError as error:
                self._count(f"caller: {type(error).__name__}")
            else:
                if answer.status_code == HTTPStatus.ACCEPTED:
                    self._note(Taken(body["mrn"], answer.json()["id"], calls), answer)
                    return
                self._count(f"caller: HTTP {answer.status_code}")
                if answer.is_client_error and answer.status_code != HTTPStatus.CONFLICT:
                    with self._lock:
                        self.refused.append(f"{body['mrn']}: HTTP {answer.status_code} {answer.text[:200]}")
                    return
            self._stop.wait(PAUSE)

    def _note(self, taken: Taken, answer: httpx.Response) -> None:
        with self._lock:
            self.taken.append(taken)
            self.counts["requests retried"] += taken.calls > 1
            self.counts["answers replayed"] += answer.headers.get("Idempotent-Replayed") == "true"

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def request_body(seed: int, number: int) -> dict[str, str]:
    """What the n-th request asks for: always the same under one seed."""
    draw = random.Random(f"{seed}/{number}")  # noqa: S311  a choice, not a secret
    chosen = draw.random()
    changed = next(changed for up_to, changed in OUTCOMES if chosen < up_to)
    return {
        "mrn": mrn_of(number),
        "location": "Main Clinic",
        "date": (FIRST_DAY + timedelta(days=draw.randrange(300))).isoformat(),
        "time": f"{draw.choice(HOURS)}:{draw.choice(('00', '15', '30', '45'))}",
        "provider": draw.choice(("Dr. Smith", "Dr. Jones", "Dr. Lee")),
        "type": "new_patient",
        **changed,
    }


def mrn_of(number: int) -> str:
    """The MRN of the n-th request: no two requests have the same."""
    return f"DRILL-{number:06}"
