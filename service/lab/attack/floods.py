"""Requests that never end, one state of the parser after the other, from six connections without any secret."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from select import select

from service.lab.attack.finding import MB, MOST_GROWTH, SLOWEST_ANSWER, Finding
from service.lab.attack.memory import watching
from service.lab.attack.scene import Scene
from service.lab.attack.wire import CHUNK, connect, head, reset

CONNECTIONS = 6
MOST_TAKEN = 16.0  # megabytes of one request, with what waits in the kernel's buffers
LINGER = 3.0  # seconds for which more may be read of who was refused, and thrown away, so that the refusal arrives
PAUSE = 0.01  # seconds before a refused sender comes back
_SIGNED = {"cobalt-verification": "0" * 64}  # as strangers sign: so that a body is read before it is refused


def _webhook(**headers: str) -> bytes:
    return head("POST", "/webhooks/cobalt", _SIGNED | {name.replace("_", "-"): text for name, text in headers.items()})


_CHUNKED = _webhook(Transfer_Encoding="chunked")
_OPEN = _webhook()[:-2]  # more headers may follow
_LETTERS = b"a" * 65_536


@dataclass(frozen=True)
class State:
    """A request that never ends.

    Attributes:
        beginning: is sent once.
        part: is sent again and again.
        whole: each part is whole requests, so that none of them is too large.
    """

    name: str
    beginning: bytes
    part: bytes
    in_short: bool = False
    whole: bool = False


STATES = (
    State("the request line", b"POST /", _LETTERS, in_short=True),
    State("the method", b"POST", _LETTERS),
    State("blank lines before the request", b"", b"\r\n" * 32_768),
    State("a header line", _OPEN + b"X-A: ", _LETTERS, in_short=True),
    State("a header's name", _OPEN + b"X-", _LETTERS),
    State("spaces before a header's value", _OPEN + b"X-A:", b" " * 65_536),
    State("how many headers", _OPEN, b"X-A: b\r\n" * 8192, in_short=True),
    State("headers byte by byte", _OPEN, b"X"),
    State("the line of a chunk's size", _CHUNKED, b"0" * 65_536, in_short=True),
    State("a chunk extension", _CHUNKED + b"5;", _LETTERS, in_short=True),
    State("a quoted chunk extension", _CHUNKED + b'5;a="', _LETTERS),
    State("how many chunk extensions", _CHUNKED + b"5", b";a=b" * 16_384),
    State("chunks of one byte", _CHUNKED, b"1\r\na\r\n" * 10_000, in_short=True),
    State("chunks of one byte with extensions", _CHUNKED, b"1;a=b\r\na\r\n" * 6000),
    State("a trailer", _CHUNKED + b"0\r\nX-A: ", _LETTERS, in_short=True),
    State("how many trailers", _CHUNKED + b"0\r\n", b"X-A: b\r\n" * 8192),
    State("a chunked body", _CHUNKED, b"10000\r\n" + _LETTERS + b"\r\n", in_short=True),
    State("a body of 1 TB", _webhook(Content_Length="1000000000000"), _LETTERS),
    State(
        "a chunked body for the API, without a key",
        head("POST", "/v1/appointments", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}),
        b"10000\r\n" + _LETTERS + b"\r\n",
    ),
    State("requests whose answers are never read", b"", head("GET", "/livez") * 1000, in_short=True, whole=True),
    State(
        "unsigned webhooks whose answers are never read",
        b"",
        head("POST", "/webhooks/cobalt", {"Content-Length": "0"}) * 1000,
        whole=True,
    ),
)


@dataclass
class Flood:
    """What so many connections did.

    Attributes:
        taken: bytes of the longest request, until it was refused.
        refused: how many connections were told so, or cut off.
    """

    taken: int = 0
    refused: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, taken: int, *, refused: bool) -> None:
        """Count one connection."""
        with self.lock:
            self.taken = max(self.taken, taken)
            self.refused += refused


def attack(scene: Scene) -> Iterator[Finding]:
    """Flood each state while honest webhooks come."""
    seconds = scene.plan.either(0.8, 6)
    states = [state for state in STATES if state.in_short or not scene.plan.short]
    with scene.honest() as honest:
        for state in states:
            began = time.monotonic()
            flood = Flood()
            with watching(scene.web, fuse=flood.over.set) as growth:
                _flood(scene.port, state, flood, seconds)
            answers = honest.answers(began)
            taken = 0.0 if state.whole else flood.taken / MB
            yield Finding(
                tried=f"{CONNECTIONS} connections without end: {state.name}",
                came=f"{answers}; +{growth.most:.0f} MB; {flood.taken / MB:.1f} MB taken, {flood.refused} refused",
                limit=f"{SLOWEST_ANSWER:g} s; +{MOST_GROWTH:.0f} MB; {MOST_TAKEN:.0f} MB",
                hurts=answers.hurts or growth.most > MOST_GROWTH or taken > MOST_TAKEN,
            )
            if answers.hurts or growth.most > MOST_GROWTH:
                scene.restart_web()  # so that the next one is judged by itself


def _flood(port: int, state: State, flood: Flood, seconds: float) -> None:
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_send, args=(port, state, flood, until), daemon=True) for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send(port: int, state: State, flood: Flood, until: float) -> None:
    while time.monotonic() < until and not flood.over.wait(PAUSE):
        with suppress(OSError), connect(port, 1) as connection:
            connection.settimeout(0.25)
            _send_on(connection, state, flood, until)
            reset(connection)


def _send_on(connection: socket.socket, state: State, flood: Flood, until: float) -> None:
    """Send until time is up or the connection is cut off, whether or not it was refused meanwhile."""
    sent, refused_at, refused_after = 0, 0.0, 0
    rest = memoryview(state.beginning)
    try:
        while time.monotonic() < until and not flood.over.is_set():
            with suppress(TimeoutError):  # it is not read now: wait, as a stranger would
                passed = connection.send(rest)
                sent += passed
                rest = rest[passed:] or memoryview(state.part)
            if not state.whole and not refused_at and select([connection], [], [], 0)[0] and connection.recv(CHUNK):
                refused_at, refused_after = time.monotonic(), sent
    except OSError:
        flood.note(refused_after or sent, refused=True)
    else:
        lingers = refused_at and time.monotonic() - refused_at > LINGER
        flood.note(refused_after if refused_at and not lingers else sent, refused=bool(refused_at))
