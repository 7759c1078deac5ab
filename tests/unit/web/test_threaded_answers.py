"""Answers that are made in threads: what a client who goes away leaves behind, and what a wait may not change."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from flask import Flask, Response, request

from service.web.process.messages import Request
from service.web.process.threads import ThreadedApp
from service.web.process.waiting import PatientApp, Watch, as_known, wait_for
from service.web.server.connections import Connections
from tests.unit.web.server.peer import App, Peer, turns
from tests.unit.web.server.peer import request as written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.web.process.messages import Answer


class Threaded(App):
    """Has an application in threads answer."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self._threaded = ThreadedApp(app, threads=2)

    async def __call__(self, asked: Request) -> Answer:
        return await self._threaded.answer(asked)


@pytest.mark.parametrize("first_is_slow", [True, False], ids=["before its beginning", "in the middle"])
def test_an_answer_whose_client_goes_away_while_a_thread_makes_it_is_closed(*, first_is_slow: bool) -> None:
    app = Flask("test")
    reached, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    @app.get("/")
    def stream() -> Response:
        def pieces() -> Iterator[bytes]:
            if not first_is_slow:
                yield b"x" * 100_000
            reached.set()
            assert go_on.wait(10)
            yield b"y" * 100_000
            yield b"the end"

        answer = Response(pieces())
        answer.call_on_close(closed.set)
        return answer

    async def go_away() -> None:
        peer = Peer(Threaded(app), Connections(most=10, most_bytes=100_000))
        await peer.send(written("GET /", b""))
        await asyncio.to_thread(reached.wait, 10)
        peer.leave()
        await turns()
        assert not closed.is_set()  # the thread is still at it
        go_on.set()
        assert await asyncio.to_thread(closed.wait, 10)
        await turns()
        assert b"the end" not in peer.came

    asyncio.run(go_away())


def test_an_answer_that_breaks_in_the_middle_is_cut_off_and_not_ended() -> None:
    app = Flask("test")

    @app.get("/")
    def stream() -> Response:
        def pieces() -> Iterator[bytes]:
            yield b"x" * 100_000
            raise ValueError

        return Response(pieces())

    async def read() -> None:
        peer = Peer(Threaded(app))
        await peer.send(written("GET /", b""))
        async with asyncio.timeout(10):
            await peer.transport.over.wait()
        assert b"transfer-encoding: chunked" in peer.came
        assert not peer.came.endswith(b"0\r\n\r\n")

    asyncio.run(read())


@pytest.mark.parametrize(("method", "status"), [("POST", 202), ("GET", 503)])
def test_a_write_that_was_done_is_answered_so_whatever_happens_while_its_caller_waits(method: str, status: int) -> None:
    app = Flask("test")

    @app.route("/", methods=["GET", "POST"])
    def view() -> Response:
        if "service.again" in request.environ:
            return Response("PostgreSQL is away", 503)
        answer = Response("done", 202)
        answer.headers["X-Request-Id"] = "req_1"
        return wait_for(answer, "a", as_known(1), "a")

    watch = Watch(lambda _: {"a": as_known(2)})
    patient = PatientApp(ThreadedApp(app, threads=2), watch, 5)
    answer = asyncio.run(patient.answer(Request(method, b"/", [(b"prefer", b"wait=5")])))
    assert answer.status == status
    assert b"service-wait-for" not in dict(answer.headers)
