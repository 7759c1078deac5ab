"""A Cobalt of bare sockets, which does with each connection as a test has written down: mostly harm."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def listening(handle: Callable[[socket.socket], None] | None, *, backlog: int = 128) -> Iterator[str]:
    """Give the base URL of a socket that does as told with each connection; with None nobody ever accepts one."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        threads: list[threading.Thread] = []

        def attend(connection: socket.socket) -> None:
            assert handle
            with connection, suppress(OSError):  # the other side may leave at any time
                handle(connection)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=attend, args=(connection,)))
                    threads[-1].start()

        accepting = threading.Thread(target=serve)
        if handle:
            accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            if handle:
                accepting.join()
            for thread in threads:
                thread.join()


def read_request(connection: socket.socket) -> bytes:
    """Read until the head and the body are whole; a body is JSON."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    while b"ontent-" in received and not received.endswith(b"}"):
        received += _some(connection)
    return received


def _some(connection: socket.socket) -> bytes:
    some = connection.recv(65536)
    if not some:
        raise ConnectionResetError
    return some


def drip(connection: socket.socket, content: bytes, every: float = 0.02) -> None:
    """Send a byte at a time until the other side leaves: longer than any test lasts."""
    connection.settimeout(every)
    while True:
        for byte in content:
            connection.sendall(bytes([byte]))
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return


def flood(connection: socket.socket, content: bytes) -> None:
    """Send the same again and again, as fast as it is taken, until the other side leaves."""
    while True:
        connection.sendall(content)


def until_left(connection: socket.socket) -> None:
    """Say nothing more, and wait until the other side leaves."""
    while connection.recv(65536):
        pass


def reply(content: bytes, *headers: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    """Write a reply as it goes over the wire."""
    told = b"Content-Length: %d" % (len(content) if length is None else length)
    return b"HTTP/1.1 " + b"\r\n".join([status, told, *headers]) + b"\r\n\r\n" + content
