"""Answers that are made in threads: what a client leaves behind that goes away, during a wait too."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from flask import Flask, Response, request

from service.usecases.submissions.find_news import NewVersion
from service.web.policy import tracing
from service.web.policy.later import answer_later
from service.web.process.messages import Request
from service.web.process.threads import ThreadedApp
from service.web.process.waiting import PatientApp, Watch
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


def test_a_caller_that_leaves_is_waited_for_no_longer_and_its_request_is_finished() -> None:
    app = Flask("test")
    tracing.register(app)
    finished = threading.Event()

    def then() -> Response:
        finished.set()
        return Response(request.headers["X-Note"])

    @app.get("/")
    def view() -> Response:
        return answer_later(NewVersion("a", 1), then)

    async def leave() -> Answer:
        patient = PatientApp(ThreadedApp(app, threads=2), Watch(lambda _: []), 30)
        asked = Request("GET", b"/", [(b"prefer", b"wait=30"), (b"x-note", b"as it came")])
        answering = asyncio.create_task(patient.answer(asked))
        await asyncio.sleep(0.3)
        assert not answering.done()
        assert not finished.is_set()
        asked.client_left()
        async with asyncio.timeout(10):
            return await answering

    answer = asyncio.run(leave())
    assert (answer.status, answer.content) == (200, b"as it came")
    assert answer.later is None
