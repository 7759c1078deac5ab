"""HTTP that two readers could read differently is refused, and nothing behind it is read as a request."""

from __future__ import annotations

import asyncio

import pytest

from service.web.server.framing import CHUNKS_LIMIT, HEAD_LIMIT, HEADERS_LIMIT
from tests.unit.web.server.peer import App, Peer, request

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NOTHING = b"Content-Length: 0\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"

AMBIGUOUS = {
    "a bare line feed in a chunk's extension": CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n",
    "a bare line feed after a chunk's size": CHUNKED + b"2\nab\r\n0\r\n\r\n",
    "a chunk without its end": CHUNKED + b"2\r\nabX0\r\n\r\n",
    "a chunk's size in another notation": CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n",
    "a chunk's size that overflows": CHUNKED + b"f" * 17 + b"\r\nab",
    "a negative chunk": CHUNKED + b"-2\r\nab\r\n0\r\n\r\n",
    "a coding behind a bare line feed": HEAD + b"X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": HEAD + b"X-A: b\r\n c\r\n" + NOTHING,
    "two codings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n",
    "a coding twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding with HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding and a length": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 0\r\n" + NOTHING,
    "a list of lengths": HEAD + b"Content-Length: 0, 0\r\n\r\n",
    "a length with a sign": HEAD + b"Content-Length: +0\r\n\r\n",
    "a length in another notation": HEAD + b"Content-Length: 0x0\r\n\r\n",
    "no host": b"POST / HTTP/1.1\r\n" + NOTHING,
    "two hosts": HEAD + b"Host: y\r\n" + NOTHING,
    "a host that is none": b"POST / HTTP/1.1\r\nHost: a@b/c\r\n" + NOTHING,
    "two signatures": HEAD + b"cobalt-verification: a\r\nCobalt-Verification: b\r\n" + NOTHING,
    "two keys": HEAD + b"Authorization: Bearer a\r\nauthorization: Bearer b\r\n" + NOTHING,
    "a space before the colon": HEAD + b"Content-Length : 0\r\n\r\n",
    "a carriage return in a value": HEAD + b"X-A: b\rc\r\n" + NOTHING,
    "a NUL in a value": HEAD + b"X-A: b\0c\r\n" + NOTHING,
    "HTTP/2 without its frames": b"POST / HTTP/2.0\r\nHost: x\r\n" + NOTHING,
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a fragment": b"POST /#a HTTP/1.1\r\nHost: x\r\n" + NOTHING,
    "another scheme": b"POST ftp://x/ HTTP/1.1\r\nHost: x\r\n" + NOTHING,
    "another expectation": HEAD + b"Expect: 200-ok\r\n" + NOTHING,
    "line feeds only": b"POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
}


async def statuses(sent: bytes, app: App | None = None) -> tuple[list[int], list[bytes], bool]:
    """What is answered, which targets were asked for, and whether the connection is over."""
    peer = Peer(app)
    await peer.send(sent)
    return peer.statuses, [one.target for one in peer.app.asked], peer.transport.ended


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
@pytest.mark.parametrize("hidden", [b"", HIDDEN], ids=["alone", "before another"])
def test_what_can_be_read_in_two_ways_is_refused_and_the_connection_ends(sent: bytes, hidden: bytes) -> None:
    assert asyncio.run(statuses(sent + hidden)) == ([400], [], True)


def test_who_asks_for_another_protocol_is_answered_in_this_one_and_nothing_more_is_read() -> None:
    upgrade = request("GET /a", b"", "Connection: Upgrade", "Upgrade: h2c")
    assert asyncio.run(statuses(upgrade + HIDDEN)) == ([200], [b"/a"], True)


def test_a_request_for_a_tunnel_is_refused() -> None:
    assert asyncio.run(statuses(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n" + HIDDEN)) == ([501], [], True)


def test_a_trailer_is_no_header() -> None:
    async def check() -> None:
        peer = Peer()
        await peer.send(CHUNKED + b"2\r\nab\r\n0\r\nCobalt-Verification: x\r\n\r\n")
        assert peer.statuses == [200]
        assert peer.app.asked[0].header(b"cobalt-verification") is None

    asyncio.run(check())


@pytest.mark.parametrize(
    ("begins", "goes_on", "status"),
    [
        (b"", b"\r\n", 431),
        (b"GET /", b"a" * 8, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A", b"a" * 8, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b", b"c" * 8, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n", 431),
        (CHUNKED, b"0" * 8, 400),
        (CHUNKED + b"2;a", b"b" * 8, 400),
        (CHUNKED + b"2;a=", b"b" * 8, 400),
        (CHUNKED + b"2\r\nab\r\n0\r\nX-A: b", b"c" * 8, 400),
        (CHUNKED + b"2\r\nab\r\n0\r\n", b"X-A: b\r\n", 400),
        (CHUNKED, b"1\r\na\r\n", 413),
    ],
    ids=[
        "blank lines",
        "request line",
        "header name",
        "header value",
        "headers",
        "chunk size",
        "extension",
        "value of an extension",
        "trailer",
        "trailers",
        "body",
    ],
)
@pytest.mark.parametrize("size", [100, 5000, 200_000])
def test_no_state_of_the_parser_goes_on_for_ever(begins: bytes, goes_on: bytes, status: int, size: int) -> None:
    async def check() -> None:
        peer = Peer(App(most=100))
        await peer.send(begins)
        sent = 0
        piece = goes_on * (size // len(goes_on) + 1)
        while not peer.transport.ended:
            await peer.send(piece)
            sent += len(piece)
            assert sent <= 2 * HEAD_LIMIT + len(piece)
        assert peer.statuses == [status]
        assert not peer.app.asked

    asyncio.run(check())


def test_blank_lines_behind_a_request_do_not_go_on_for_ever() -> None:
    async def check() -> None:
        peer = Peer()
        await peer.send(request("GET /", b""))
        assert peer.statuses == [200]
        for _ in range(2 * HEAD_LIMIT // 5000 + 1):
            await peer.send(b"\r\n" * 2500)
        assert peer.statuses == [200, 431]
        assert peer.transport.ended

    asyncio.run(check())


def test_a_body_in_single_bytes_is_refused_before_it_costs_a_second() -> None:
    async def check() -> None:
        peer = Peer(App(most=1_000_000))
        await peer.send(CHUNKED, *[b"1\r\na\r\n" * 1000] * (CHUNKS_LIMIT // 1000 + 1))
        assert peer.statuses == [400]

    asyncio.run(check())


def test_a_head_of_usual_size_is_taken_whole() -> None:
    async def check() -> None:
        peer = Peer()
        headers = [f"X-{number}: {'v' * 100}" for number in range(HEADERS_LIMIT - 2)]
        await peer.send(request("GET /", b"", *headers))
        assert peer.statuses == [200]

    asyncio.run(check())
