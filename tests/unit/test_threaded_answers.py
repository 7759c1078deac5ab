"""Answers that are made in threads: what a client who goes away leaves behind, and what a wait may not change."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from flask import Flask, Response, request

from service.api.threads import ThreadedApp
from service.api.waiting import PatientApp, Watch, as_known, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.api.asgi import Message, Scope


def scope_of(method: str, path: str, **headers: str) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


async def receive_once(given: list[Message]) -> Message:
    if given:
        return given.pop()
    await asyncio.Event().wait()
    raise AssertionError


async def serve(app: ThreadedApp | PatientApp, scope: Scope) -> list[Message]:
    sent: list[Message] = []
    given: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, lambda: receive_once(given), send)
    return sent


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
        serving = asyncio.create_task(serve(ThreadedApp(app, threads=2, most=100), scope_of("GET", "/")))
        await asyncio.to_thread(reached.wait, 10)
        serving.cancel()
        await asyncio.sleep(0.05)
        assert not closed.is_set()  # the thread is still at it
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(go_away())
    assert closed.is_set()


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
    patient = PatientApp(ThreadedApp(app, threads=2, most=100), watch, 5)
    start, *_ = asyncio.run(serve(patient, scope_of(method, "/", prefer="wait=5")))
    assert start["status"] == status
    assert b"service-wait-for" not in dict(start["headers"])
