"""What a sick Cobalt does with a call that it has read: each writes to the connection until it is done or cut off."""

import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Mapping

BLOCK = bytes(1024 * 1024).replace(b"\0", b" ")
DRIP = 0.1  # seconds between two bytes: a read time-out that begins anew with each of them never ends
GIGABYTE = 1024
BOMB = 400  # megabytes when unpacked
BOMBS: dict[int, bytes] = {}

Illness = Callable[[socket.socket, threading.Event], None]


def reply(status: str, body: bytes, *headers: str) -> bytes:
    """The bytes of a whole reply."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _begin(connection: socket.socket, *headers: str) -> None:
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())


def _for_ever(connection: socket.socket, over: threading.Event, part: bytes, pause: float = 0) -> None:
    while not over.wait(pause):
        connection.sendall(part)


def _silent(_connection: socket.socket, _over: threading.Event) -> None:
    """Nothing: the server waits until the caller goes."""


def _drip_head(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    _for_ever(connection, over, b"a", DRIP)


def _drip_body(connection: socket.socket, over: threading.Event) -> None:
    _begin(connection, "Content-Length: 1000000")
    _for_ever(connection, over, b" ", DRIP)


def _huge(connection: socket.socket, over: threading.Event) -> None:
    _begin(connection, f"Content-Length: {GIGABYTE * len(BLOCK)}")
    for _ in range(GIGABYTE):
        if over.is_set():
            return
        connection.sendall(BLOCK)


def _endless_chunks(connection: socket.socket, over: threading.Event) -> None:
    _begin(connection, "Transfer-Encoding: chunked")
    _for_ever(connection, over, b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK))


def _bomb(connection: socket.socket, _over: threading.Event) -> None:
    packed = gzip_bomb(BOMB)
    _begin(connection, "Content-Encoding: gzip", f"Content-Length: {len(packed)}")
    connection.sendall(packed)


def gzip_bomb(megabytes: int) -> bytes:
    """Spaces, packed a thousand times smaller."""
    if megabytes not in BOMBS:
        packing = zlib.compressobj(1, zlib.DEFLATED, 31)
        BOMBS[megabytes] = b"".join([*(packing.compress(BLOCK) for _ in range(megabytes)), packing.flush()])
    return BOMBS[megabytes]


def _endless_headers(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    _for_ever(connection, over, b"X-A: b\r\n" * 8192)


def _endless_header(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    _for_ever(connection, over, b"a" * 65536)


def _endless_interim(connection: socket.socket, over: threading.Event) -> None:
    _for_ever(connection, over, b"HTTP/1.1 102 Processing\r\n\r\n", 0.01)


def _cut_short(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(reply("200 OK", b'{"success":true}').replace(b"Content-Length: 16", b"Content-Length: 1000"))


def _reset(connection: socket.socket, _over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _html(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(
        reply("200 OK", b"<html><body>Maintenance</body></html>").replace(b"application/json", b"text/html")
    )


def _deep(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(reply("200 OK", b"[" * 100_000))


def _no_http(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00" * 100)


SAYS_NOTHING = "says nothing"
ENDS_WITH_CALLER = frozenset({SAYS_NOTHING, f"a gzip bomb of {BOMB} MB", "a reply of 1 GB"})
"""The illnesses after whose last byte the connection stays: the call ends when the caller has had enough."""

ILLNESSES: Mapping[str, Illness] = {
    SAYS_NOTHING: _silent,
    "a byte at a time, in the head": _drip_head,
    "a byte at a time, in the body": _drip_body,
    "a reply of 1 GB": _huge,
    "chunks without end": _endless_chunks,
    f"a gzip bomb of {BOMB} MB": _bomb,
    "headers without end": _endless_headers,
    "one header without end": _endless_header,
    "1xx without end": _endless_interim,
    "a body shorter than it says": _cut_short,
    "resets the connection": _reset,
    "HTML": _html,
    "JSON nested too deep": _deep,
    "no HTTP": _no_http,
}


def accepted(cobalt_id: str) -> bytes:
    """What a healthy Cobalt says to a create, in the later shape [P]."""
    data = {"success": True, "message": "queued", "appointment_id": cobalt_id, "job_id": int(cobalt_id)}
    return reply("200 OK", json.dumps(data).encode())


def now() -> str:
    """As Cobalt writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
