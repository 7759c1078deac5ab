"""What a connection and a request leave behind in memory, over many thousands of each."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.lab.attack.finding import MB, Finding
from service.lab.attack.memory import resident
from service.lab.attack.scene import Scene
from service.lab.attack.wire import CHUNK, connect, exchange, head, reset
from service.lab.bench.requests import Events, reads

if TYPE_CHECKING:
    import socket

STEPS = 5  # the median of so many counts, so that a page which the allocator takes once is no leak
LIMIT = 100.0  # bytes
SHORT_LIMIT = 1000.0  # bytes; so few connections cannot be told from the allocator's pages
CALM = 0.2  # seconds for the service to notice who left


class _Kept:
    """A connection that is opened anew when the other side closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: socket.socket | None = None

    def ask(self, request: bytes) -> None:
        if self._connection is None:
            self._connection = connect(self._port)
        heard = exchange(self._connection, request, patience=5, settled=0.0001)
        if heard.closed or not heard.raw:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass(frozen=True)
class Kind:
    """One way to come and go.

    Attributes:
        count: how often in the long form.
        short: how often in the short form; not at all if 0.
    """

    name: str
    count: int
    short: int
    act: Callable[[], object]


def attack(scene: Scene) -> Iterator[Finding]:
    """Count the bytes that each kind leaves, after a warm-up of as many as there are in a step."""
    limit = scene.plan.either(SHORT_LIMIT, LIMIT)
    kept = _Kept(scene.port)
    for kind in _kinds(scene, kept):
        if scene.plan.short and not kind.short:
            continue
        count = kind.short if scene.plan.short else kind.count
        left = _left_behind(scene, kind.act, count)
        yield Finding(
            tried=f"{count:,} {kind.name}",
            came=f"{left:.0f} bytes left by each",
            limit=f"{limit:.0f} bytes",
            hurts=left > limit,
        )
    kept.close()


def _left_behind(scene: Scene, act: Callable[[], object], count: int) -> float:
    """Bytes that each leaves, as the median of several steps."""
    step = count // STEPS
    before = 0.0
    found = []
    for number in range(STEPS + 1):
        for _ in range(step):
            act()
        time.sleep(CALM)
        now = sum(resident(scene.web))
        if number:
            found.append((now - before) * MB / step)
        before = now
    return statistics.median(found)


def _kinds(scene: Scene, kept: _Kept) -> Sequence[Kind]:
    port = scene.port
    events = Events(scene.stack.webhook_secret, scene.stack.account)
    page = reads(scene.stack.api_key, ["/v1/appointments"])[0]
    wrong = {"cobalt-verification": "0" * 64}
    unsigned = head("POST", "/webhooks/cobalt", {**wrong, "Content-Length": "2"}) + b"{}"
    half = head("POST", "/webhooks/cobalt", {**wrong, "Content-Length": "1000"}) + b"{"
    livez = head("GET", "/livez", {"Connection": "close"})
    # The 20,000 requests are of four kinds.
    return (
        Kind("connections with one request each", 20_000, 1500, lambda: _ask(port, livez)),
        Kind("connections that are refused", 5000, 0, lambda: _ask(port, b"no HTTP at all\r\n\r\n")),
        Kind("connections left in the middle of a head", 5000, 0, lambda: _leave(port, half[:40])),
        Kind("connections left in the middle of a body", 5000, 0, lambda: _leave(port, half)),
        Kind("health checks on one connection", 5000, 0, lambda: kept.ask(head("GET", "/livez"))),
        Kind("webhooks on one connection", 5000, 0, lambda: kept.ask(events.unknown(1)[0])),
        Kind("unsigned webhooks on one connection", 5000, 1500, lambda: kept.ask(unsigned)),
        Kind("pages of the list on one connection", 5000, 0, lambda: kept.ask(page)),
    )


def _ask(port: int, request: bytes) -> None:
    with suppress(OSError), connect(port) as connection:
        connection.sendall(request)
        while connection.recv(CHUNK):
            pass


def _leave(port: int, beginning: bytes) -> None:
    with suppress(OSError):
        connection = connect(port)
        connection.sendall(beginning)
        reset(connection)
