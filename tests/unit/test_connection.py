"""Which requests go past ASGI: a new gunicorn might not call what we override, and all would work, but slowly."""

from __future__ import annotations

import asyncio
import math
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
    """Keeps what is written; says, as real ones do, that it is enough for now."""

    def __init__(self, enough: float = math.inf) -> None:
        super().__init__()
        self.enough = enough
        self.connection: Any = None
        self.answers: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answers.append(bytes(data))
        if len(self.answers) == self.enough:
            self.connection.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Application:
    """Says which way a request came; by the short way it is refused if it has no body."""

    def __init__(self) -> None:
        self.webhooks = self

    async def reply(self, _method: str, _headers: Headers, receive: Receive) -> Reply:
        body = (await receive())["body"]
        return Reply(200 if body == BODY else 401, [(b"content-length", b"9")], b"short way")

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, [(b"content-length", b"4")], b"ASGI")


def connected(transport: Transport) -> Connection:
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
    connection = transport.connection = Connection(worker)
    connection.connection_made(transport)
    return connection


def request(line: str, body: bytes = BODY) -> bytes:
    return f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def turns(number: int) -> None:
    """Let the loop do what there is to do, so many times."""
    for _ in range(number):
        await asyncio.sleep(0)


async def ask(line: str) -> bytes:
    transport = Transport()
    connection = connected(transport)
    connection.data_received(request(line))
    await turns(20)
    connection.connection_lost(None)
    [answered] = transport.answers
    return answered.rpartition(b"\r\n\r\n")[2]


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
    assert asyncio.run(ask(request_line)) == way


def test_who_does_not_read_the_answers_gets_no_more_of_them() -> None:
    async def flood() -> tuple[int, int]:
        transport = Transport(enough=3)
        connection = connected(transport)
        connection.data_received(request("POST /webhooks/cobalt") * 10)
        await turns(200)
        paused = len(transport.answers)
        connection.resume_writing()
        await turns(200)
        connection.connection_lost(None)
        return paused, len(transport.answers)

    assert asyncio.run(flood()) == (3, 10)


def test_refusals_of_one_connection_let_others_have_their_turn() -> None:
    async def flood() -> int:
        transport = Transport()
        connection = connected(transport)
        connection.data_received(request("POST /webhooks/cobalt", b"") * 100)
        await turns(20)
        meanwhile = len(transport.answers)
        connection.connection_lost(None)
        return meanwhile

    assert 0 < asyncio.run(flood()) < 30
