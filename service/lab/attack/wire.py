"""HTTP over raw sockets: what no client library would send, and what comes back."""

import contextlib
import re
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

CHUNK = 65_536
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")
_AT_ONCE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Heard:
    """What came back.

    Attributes:
        raw: all of it.
        closed: whether the other side closed the connection.
        seconds: until the first byte, or until nothing came.
    """

    raw: bytes
    closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """Of every answer, in order; interim ones (1xx) left out."""
        return [int(one) for one in _STATUS.findall(self.raw) if not one.startswith(b"1")]


def connect(port: int, timeout: float = 5) -> socket.socket:
    """Connect to a port of 127.0.0.1. Raises OSError."""
    return socket.create_connection(("127.0.0.1", port), timeout)


def say(port: int, request: bytes, *, patience: float = 3, settled: float = 0.15) -> Heard:
    """Send bytes on a new connection and listen.

    Args:
        port: of 127.0.0.1.
        request: what to send.
        patience: seconds to wait for the first byte of an answer.
        settled: seconds without another byte after which no further answer is expected.
    """
    with contextlib.suppress(OSError), connect(port, patience) as connection:
        return exchange(connection, request, patience=patience, settled=settled)
    return Heard(b"", True, 0.0)


def exchange(connection: socket.socket, request: bytes, *, patience: float = 3, settled: float = 0.15) -> Heard:
    """Send bytes on a connection and listen until it is closed or nothing more comes; see `say`."""
    began = time.monotonic()
    raw = bytearray()
    first = patience
    closed = False
    try:
        connection.settimeout(patience)
        connection.sendall(request)
        while part := connection.recv(CHUNK):
            if not raw:
                first = time.monotonic() - began
            raw += part
            connection.settimeout(settled)
        closed = True
    except TimeoutError:
        pass
    except OSError:
        closed = True  # reset: what came before counts
    return Heard(bytes(raw), closed, first)


def reset(connection: socket.socket) -> None:
    """Close a connection so that no trace of it stays in the kernel."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    connection.close()


def head(method: str, path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a request's head."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in (headers or {}).items()), "", ""]).encode()
