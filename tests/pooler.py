"""Stands between libpq and a server as a connection pooler may: what was asked for in `options` does not arrive."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

from service.lab.postgres import SOCKET_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = struct.Struct("!II")
"""Of a startup packet: its length and the protocol's version."""


@contextmanager
def dropping_options(url: str, directory: Path) -> Iterator[str]:
    """Listen in a directory, and say the libpq URL by which that server is reached through here."""
    address = urlsplit(url)
    [behind] = parse_qs(address.query)["host"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / SOCKET_NAME))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, f"{behind}/{SOCKET_NAME}"), daemon=True)
        thread.start()
        yield address._replace(query=f"host={quote(str(directory))}").geturl()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, behind: str) -> None:
    with suppress(OSError):  # shut down
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_pass_on, args=(client, behind), daemon=True).start()


def _pass_on(client: socket.socket, behind: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector, suppress(OSError):
        server.connect(behind)
        server.sendall(_without_options(client))
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while True:
            for ready, _ in selector.select():
                received = ready.fileobj.recv(65536)  # type: ignore[union-attr]  # sockets
                if not received:
                    return
                ready.data.sendall(received)


def _without_options(client: socket.socket) -> bytes:
    length, version = HEAD.unpack(client.recv(HEAD.size, socket.MSG_WAITALL))
    words = client.recv(length - HEAD.size, socket.MSG_WAITALL).rstrip(b"\0").split(b"\0")
    asked = dict(zip(words[::2], words[1::2], strict=True))
    del asked[b"options"]
    body = b"".join(name + b"\0" + value + b"\0" for name, value in asked.items()) + b"\0"
    return HEAD.pack(HEAD.size + len(body), version) + body
