"""A test client for the whole web process: Flask's own client would not meet the webhooks, which are beside Flask."""

from __future__ import annotations

import asyncio
import threading
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug.test import Client
from werkzeug.wrappers import Response

from service.web import Web
from tests.conformance import document_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from concurrent.futures import Future
    from wsgiref.types import StartResponse, WSGIEnvironment

    from flask import Flask
    from werkzeug.test import TestResponse

    from service.api.asgi import Message

LONGEST = 30  # seconds for one answer


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """The one loop of this test run, in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="event loop", daemon=True).start()
    return loop


def start(work: Coroutine[Any, Any, Any]) -> Future[Any]:
    """Have the loop do something."""
    return asyncio.run_coroutine_threadsafe(work, event_loop())


def wait_for(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
    """Have the loop do something, and wait for what comes of it."""
    return start(work).result(LONGEST)


class WebClient(Client):
    """A client of the web process that serves an application; it fails on what the document does not describe."""

    def __init__(self, app: Flask) -> None:
        super().__init__(_Bridge(Web(app)), Response)
        self.app = app
        self._document = document_of(app)  # now, not while answers are being timed

    def open(self, *args: Any, **rest: Any) -> TestResponse:
        answer = super().open(*args, **rest)
        self._document.judge(answer.request.method, answer.request.path, answer)
        return answer


def client_of(app: Flask) -> WebClient:
    """A client of the web process that serves this application."""
    return WebClient(app)


class _Bridge:
    """Lets werkzeug's test client, which speaks WSGI, call an ASGI application."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        sent: list[Message] = []
        wait_for(self._serve(environ, sent))
        begun = sent.pop(0)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in begun["headers"]]
        start_response(f"{begun['status']} -", headers)
        assert not sent[-1]["more_body"]
        return [message["body"] for message in sent]

    async def _serve(self, environ: WSGIEnvironment, sent: list[Message]) -> None:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else environ["wsgi.input"].read()
        headers = [
            (name.removeprefix("HTTP_").replace("_", "-").lower().encode(), str(value).encode("latin-1"))
            for name, value in environ.items()
            if name.startswith("HTTP_") or (name in {"CONTENT_TYPE", "CONTENT_LENGTH"} and value)
        ]
        scope = {
            "type": "http",
            "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
            "method": environ["REQUEST_METHOD"],
            "scheme": "http",
            "path": unquote(environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")),
            "query_string": environ["QUERY_STRING"].encode("latin-1"),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._web(scope, receive, send)
