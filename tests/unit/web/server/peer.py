"""A peer of one connection, without a network: what it sends is fed, what it would read is kept."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from service.web.process.messages import Answer, Request
from service.web.server.connection import Connection
from service.web.server.connections import Connections, Limits

LIMITS = Limits(first_byte=10, head=10, body=20, silence=75, send=30)


class Transport(asyncio.Transport):
    """Keeps what is written; says, as real ones do, that it is enough for now."""

    def __init__(self, enough: float = math.inf) -> None:
        super().__init__()
        self.enough = enough
        self.connection: Connection
        self.written: list[bytes] = []
        self.ended = False
        self.aborted = False
        self.paused = False
        self.over = asyncio.Event()

    def write(self, data: Any) -> None:  # noqa: ANN401 (bytes of any kind)
        self.written.append(bytes(data))
        if len(self.written) == self.enough:
            self.connection.pause_writing()

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.aborted = True
        self.over.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 (asyncio's)
        return ("192.0.2.1", 1) if name == "peername" else default


class App:
    """Takes bodies of so many bytes, and answers each request with its body.

    Attributes:
        asked: Every request that was to be answered.
        hold: An answer waits for this, where it is set.
    """

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.asked: list[Request] = []
        self.hold: asyncio.Event | None = None

    def admit(self, request: Request) -> int | Answer:
        return self.refuse(401, "Sign it.", request) if request.target == b"/unsigned" else self.most

    def refuse(self, status: int, detail: str, request: Request | None) -> Answer:
        del request
        return Answer(status, [], detail.encode())

    async def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        if self.hold is not None:
            await self.hold.wait()
        return Answer(200, [], b"<" + request.body + b">")


class Peer:
    """One peer.

    Args:
        app: What answers it.
        connections: All of the process.
        enough: Writes after which its buffer is full.
    """

    def __init__(
        self, app: App | None = None, connections: Connections | None = None, *, enough: float = math.inf
    ) -> None:
        self.app = app or App()
        self.connections = Connections(most=100, most_bytes=1_000_000) if connections is None else connections
        self.transport = Transport(enough)
        self.connection = self.transport.connection = Connection(self.app, self.connections, LIMITS)
        self.connection.connection_made(self.transport)

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.data_received(part)
            await turns()

    def leave(self) -> None:
        self.connection.connection_lost(None)

    @property
    def came(self) -> bytes:
        return b"".join(self.transport.written)

    @property
    def statuses(self) -> list[int]:
        return [int(part[9:12]) for part in self.transport.written if part.startswith(b"HTTP/1.1 ")]

    def wait(self, seconds: float) -> None:
        """Let so much time pass for the deadlines."""
        self.connections.sweep(asyncio.get_running_loop().time() + seconds)


async def turns(number: int = 10) -> None:
    """Let the loop do what there is to do, so many times."""
    for _ in range(number):
        await asyncio.sleep(0)


def request(line: str = "POST /", body: bytes = b"...", *headers: str) -> bytes:
    """Write a request that announces its body."""
    head = [f"{line} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body
