"""Which requests go past ASGI: a new gunicorn might not call what we override, and all would work, but slowly."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from service.api.asgi import answer
from service.api.webhooks import Reply
from service.server import Connection

if TYPE_CHECKING:
    from service.api.asgi import Headers, Receive, Scope, Send

BODY = b"..."


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.set_result(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Application:
    """Says which way a request came."""

    def __init__(self) -> None:
        self.webhooks = self

    async def reply(self, _method: str, _headers: Headers, receive: Receive) -> Reply:
        assert (await receive())["body"] == BODY
        return Reply(200, [(b"content-length", b"9")], b"short way")

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, [(b"content-length", b"4")], b"ASGI")


async def ask(request_line: str) -> bytes:
    config = Config()
    config.set("http_parser", "fast")
    worker: Any = SimpleNamespace(
        cfg=config,
        log=Logger(config),
        asgi=Application(),
        loop=asyncio.get_running_loop(),
        connections=set(),
        nr_conns=0,
        nr=0,
        max_requests=sys.maxsize,
        alive=True,
    )
    connection, transport = Connection(worker), Transport()
    connection.connection_made(transport)
    connection.data_received(
        f"{request_line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    )
    written = await transport.written
    connection.connection_lost(None)
    return written.rpartition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("request_line", "way"),
    [
        ("POST /webhooks/cobalt", b"short way"),
        ("POST /webhooks/cobalt?from=cobalt", b"short way"),
        ("GET /webhooks/cobalt", b"ASGI"),
        ("POST /v1/appointments", b"ASGI"),
    ],
)
def test_only_webhooks_go_past_asgi(request_line: str, way: bytes) -> None:
    assert asyncio.run(asyncio.wait_for(ask(request_line), 5)) == way
