"""Whatever Cobalt does, a call ends in time, takes no memory to speak of, and says rightly what became of it."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
import tracemalloc
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from service.cobalt import Accepted, Cobalt, Credentials, NeverLeft, Rejected, Throttled, Unauthorized, Unclear
from service.errors import CobaltError
from tests.scripted_cobalt import drip, flood, listening, read_request, reply, until_left
from tests.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CREDENTIALS = Credentials("clinic_1", "user_1", "token_1")
BODY = {"mrn": "1", "type": "new_patient"}
YES = b'{"success":true,"data":{"appointment_id":"12"}}'
DEADLINE = 0.4
PATIENT = 8.0
"""Seconds, where something else than the deadline has to end a call."""
LATE = 10.0
"""Seconds: much more than the deadline, for a busy machine, and much less than these Cobalts would take."""
MOST = 16_384
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def client(base_url: str, timeout: float) -> Cobalt:
    return Cobalt(
        settings_from(COBALT_BASE_URL=base_url, COBALT_TIMEOUT=str(timeout), COBALT_REPLY_MAX_BYTES=str(MOST))
    )


@contextmanager
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LATE


def create(base_url: str, body: dict[str, Any] = BODY, timeout: float = PATIENT) -> object:
    with in_time(), client(base_url, timeout) as cobalt:
        return cobalt.create(CREDENTIALS, body)


def script(*steps: Callable[[socket.socket], object]) -> Callable[[socket.socket], None]:
    """Take the request, then do these."""

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        for step in steps:
            step(connection)

    return handle


def say(content: bytes) -> Callable[[socket.socket], object]:
    return lambda connection: connection.sendall(content)


def dripping(content: bytes) -> Callable[[socket.socket], object]:
    return lambda connection: drip(connection, content)


def flooding(content: bytes) -> Callable[[socket.socket], object]:
    return lambda connection: flood(connection, content)


BOMB = gzip.compress(bytes(15_000_000))
assert len(BOMB) < MOST
OK = b"HTTP/1.1 200 OK\r\n"
# what it does once it has the request -> what became of the call
SICK: dict[str, tuple[Callable[[socket.socket], None], Unclear]] = {
    "drips its status": (script(dripping(b"HTTP/1.1 2")), Unclear("ReadTimeout")),
    "drips headers": (script(say(OK), dripping(b"X-More: 1\r\n")), Unclear("ReadTimeout", 200)),
    "drips one header": (script(say(OK + b"X-Long: "), dripping(b"x")), Unclear("ReadTimeout", 200)),
    "drips 1xx replies": (script(dripping(b"HTTP/1.1 102 Processing\r\n\r\n")), Unclear("ReadTimeout")),
    "drips its body": (script(say(OK + b"Content-Length: 9999\r\n\r\n"), dripping(b" ")), Unclear("ReadTimeout", 200)),
    "drips chunks": (script(say(CHUNKED), dripping(b"1\r\n \r\n")), Unclear("ReadTimeout", 200)),
    "drips a chunk extension": (script(say(CHUNKED + b"1;"), dripping(b"x")), Unclear("ReadTimeout", 200)),
    "drips a trailer": (script(say(CHUNKED + b"0\r\n"), dripping(b"X-More: 1\r\n")), Unclear("ReadTimeout", 200)),
    "says nothing": (script(until_left), Unclear("ReadTimeout")),
    "sends endless headers": (script(say(OK), flooding(b"X-More: 1\r\n")), Unclear("the reply is too large", 200)),
    "sends an endless header": (script(say(OK + b"X: "), flooding(b"x" * 999)), Unclear("the reply is too large", 200)),
    "sends endless 1xx replies": (script(flooding(b"HTTP/1.1 100 Go\r\n\r\n")), Unclear("the reply is too large")),
    "sends an endless body": (script(say(OK + b"\r\n"), flooding(b"x" * 9999)), Unclear("the reply is too large", 200)),
    "sends endless chunks": (script(say(CHUNKED), flooding(b"1\r\nx\r\n")), Unclear("the reply is too large", 200)),
    "sends a huge body": (
        script(say(OK + b"Content-Length: 1000000000\r\n\r\n"), flooding(b"x" * 65536)),
        Unclear("the reply is too large", 200),
    ),
    "sends a gzip bomb": (
        script(say(reply(BOMB, b"Content-Encoding: gzip"))),
        Unclear("the reply is too large", 200),
    ),
    "sends a small bomb": (
        script(say(reply(gzip.compress(bytes(MOST + 1)), b"Content-Encoding: gzip"))),
        Unclear("the reply is too large", 200),
    ),
    "sends a page": (script(say(reply(b"<html>no</html>", b"Content-Type: text/html"))),
                     Unclear("a success that cannot be read", 200)),
    "redirects": (script(say(reply(b"", b"Location: /v1/appointments", status=b"307 Go"))), Unclear("HTTP 307", 307)),
    "switches protocols": (script(say(b"HTTP/1.1 101 Go\r\n\r\n")), Unclear("RemoteProtocolError")),
    "says less than its length": (script(say(reply(YES[:-1], length=99))), Unclear("RemoteProtocolError", 200)),
    "says more than its length": (script(say(reply(YES, length=20))), Unclear("a success that cannot be read", 200)),
    "has two lengths": (
        script(say(reply(YES, b"Content-Length: 3"))),
        Unclear("RemoteProtocolError", 200),
    ),
    "has a length that is no number": (script(say(OK + b"Content-Length: many\r\n\r\n")),
                                       Unclear("RemoteProtocolError", 200)),
    "resets": (script(lambda c: c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))),
               Unclear("ReadError")),
}  # fmt: skip


@pytest.mark.parametrize(("handle", "outcome"), SICK.values(), ids=SICK)
def test_a_create_at_a_cobalt_that_is_sick_ends_in_time_unclear_and_with_the_status_that_was_seen(
    handle: Callable[[socket.socket], None], outcome: Unclear
) -> None:
    with listening(handle) as base_url:
        assert create(base_url, timeout=DEADLINE if outcome.error == "ReadTimeout" else PATIENT) == outcome


WHOLE_ENOUGH = {
    "a length too long, and the end": reply(YES, length=99),
    "an encoding that it has not": reply(YES, b"Content-Encoding: gzip"),
    "an encoding that nobody knows": reply(YES, b"Content-Encoding: \xe2\x98\x83"),
    "gzip, though it was not asked for": reply(gzip.compress(YES), b"Content-Encoding: gzip"),
    "a charset that does not exist": reply(YES, b"Content-Type: application/json; charset=no-such"),
    "a media type that is none": reply(YES, b"Content-Type: \xff;;;"),
    "two dates": reply(YES, b"Date: Wed, 01 Jan 2025 10:00:00 GMT", b"Date: never"),
    "a date that no machine can count to": reply(YES, b"Date: Mon, 01 Jan 99999999999 00:00:00 GMT"),
    "cookies, folded": reply(YES, b"Set-Cookie: a=b;\r\n  c=d"),
    "1xx replies before it": b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + reply(YES),
}


@pytest.mark.parametrize("whole", WHOLE_ENOUGH.values(), ids=WHOLE_ENOUGH)
def test_no_header_costs_a_reply_that_names_the_id(whole: bytes) -> None:
    with listening(script(say(whole))) as base_url:
        accepted = create(base_url)
    assert isinstance(accepted, Accepted)
    assert (accepted.cobalt_appointment_id, accepted.http_status) == ("12", 200)


REFUSALS = {
    "429 whose headers drip": (b"HTTP/1.1 429 Slow down\r\n", Throttled),
    "401 whose body is too large": (reply(b"x" * 99_999, status=b"401 No"), Unauthorized),
    "400 with a length that is no number": (b"HTTP/1.1 400 No\r\nContent-Length: -1\r\n\r\n{}", Rejected),
    "400 with a header that is none": (b"HTTP/1.1 400 No\r\nX\x00Y: \x01\r\n\r\n{}", Rejected),
    "422 whose body breaks off": (reply(b'{"message":"no', status=b"422 No", length=99), Rejected),
    "409 with an encoding that it has not": (reply(b"{", b"Content-Encoding: gzip", status=b"409 No"), Rejected),
}


@pytest.mark.parametrize(("told", "kind"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_told_by_its_status_whatever_became_of_the_rest(told: bytes, kind: type) -> None:
    with listening(script(say(told), until_left)) as base_url:
        assert isinstance(create(base_url, timeout=1), kind)


def test_a_request_that_nobody_takes_in_is_unclear_in_time() -> None:
    ended = threading.Event()

    def take_a_little(connection: socket.socket) -> None:
        while not ended.wait(0.02):
            connection.recv(1)

    with listening(take_a_little) as base_url:
        assert create(base_url, {"note": "x" * 9_000_000}, timeout=1.5) == Unclear("WriteTimeout")
        ended.set()


def test_a_handshake_that_drips_never_left() -> None:
    def shake(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x16\x03\x03\x40\x00")  # a long record of TLS follows
        drip(connection, b"\x02")

    with listening(shake) as base_url:
        assert create(base_url.replace("http:", "https:"), timeout=DEADLINE) == NeverLeft("ConnectTimeout")


def test_a_connection_that_is_not_accepted_never_left() -> None:
    with listening(None, backlog=0) as base_url, ExitStack() as taken:
        port = int(base_url.split(":")[2].partition("/")[0])
        for _ in range(3):  # the kernel lets these wait, and answers no other
            waiting = taken.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        assert create(base_url, timeout=DEADLINE) == NeverLeft("ConnectTimeout")


def test_a_look_up_that_takes_for_ever_never_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(60) and [])
    assert create("https://cobalt.example", timeout=DEADLINE) == NeverLeft("ConnectTimeout")
    ended.set()


def test_an_address_that_is_silent_leaves_time_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(None, backlog=0) as silent, ExitStack() as taken, listening(script(say(reply(YES)))) as base_url:
        ports = [int(url.split(":")[2].partition("/")[0]) for url in (silent, base_url)]
        for _ in range(3):
            waiting = taken.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", ports[0]))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert isinstance(create(base_url, timeout=1), Accepted)


QUESTIONS: dict[str, Callable[[Cobalt], object]] = {
    "the list": lambda cobalt: cobalt.list_appointments(
        CREDENTIALS, first=date(2025, 1, 1), last=date(2025, 1, 2), mrn="1"
    ),
    "events": lambda cobalt: cobalt.events_of_job(CREDENTIALS, "7"),
    "to register": lambda cobalt: cobalt.register_webhook(CREDENTIALS, "https://x.example/webhooks/cobalt"),
    "to rotate": lambda cobalt: cobalt.rotate_webhook_secret(CREDENTIALS),
    "the registered": lambda cobalt: cobalt.list_webhooks(CREDENTIALS),
    "to remove": lambda cobalt: cobalt.remove_webhook(CREDENTIALS, "1"),
}
HARM = {
    "drips": (dripping(b" "), DEADLINE, "ReadTimeout"),
    "never ends": (flooding(b" " * 65536), PATIENT, "the reply is too large"),
}


@pytest.mark.parametrize(("harm", "timeout", "why"), HARM.values(), ids=HARM)
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_every_question_ends_in_time_too(
    ask: Callable[[Cobalt], object], harm: Callable[[socket.socket], object], timeout: float, why: str
) -> None:
    handle = script(say(OK + b"Content-Length: 1000000000\r\n\r\n"), harm)
    with (
        listening(handle) as base_url,
        in_time(),
        client(base_url, timeout) as cobalt,
        pytest.raises(CobaltError, match=why),
    ):
        ask(cobalt)


LARGE = ["sends an endless header", "sends endless 1xx replies", "sends a huge body", "sends a gzip bomb"]


@pytest.mark.parametrize("name", LARGE)
def test_what_a_sick_cobalt_sends_is_not_kept(name: str) -> None:
    with listening(SICK[name][0]) as base_url:
        create(base_url)  # what is loaded at the first call is no matter
        tracemalloc.start()
        create(base_url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_call_that_is_under_way_when_the_client_ends_is_broken_off_at_once() -> None:
    begun, outcomes = threading.Event(), []

    def take(connection: socket.socket) -> None:
        read_request(connection)
        begun.set()
        until_left(connection)

    with listening(take) as base_url, in_time(), client(base_url, timeout=60) as cobalt:
        calling = threading.Thread(target=lambda: outcomes.append(cobalt.create(CREDENTIALS, BODY)))
        calling.start()
        assert begun.wait(LATE)
        cobalt.end()
        calling.join()
        outcomes.append(cobalt.create(CREDENTIALS, BODY))
    assert outcomes == [Unclear("the worker stopped"), NeverLeft("the worker stopped")]
