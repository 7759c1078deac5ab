"""A test client for the whole web process: Flask's own client would not meet the webhooks, which are beside Flask."""

from __future__ import annotations

import asyncio
import threading
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.test import Client
from werkzeug.wrappers import Response

from service.web.application import Web
from service.web.process.messages import Answer, Request
from tests.conformance import document_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from concurrent.futures import Future
    from wsgiref.types import StartResponse, WSGIEnvironment

    from flask import Flask
    from werkzeug.test import TestResponse


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
    """Lets werkzeug's test client, which speaks WSGI, call what the server calls."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer, content = wait_for(self._serve(_request(environ)))
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
        if "content-length" not in dict(headers) and answer.rest is None:
            headers.append(("content-length", str(len(content))))
        start_response(f"{answer.status} -", headers)
        return [content]

    async def _serve(self, request: Request) -> tuple[Answer, bytes]:
        admitted = self._web.admit(request)
        if isinstance(admitted, Answer):
            return admitted, admitted.content
        if len(request.body) > admitted:
            refused = self._web.refuse(413, "The body is larger than this address accepts.", request)
            return refused, refused.content
        answer = await self._web(request)
        content = answer.content
        while answer.rest and (piece := await answer.rest.next_piece()) is not None:
            content += piece
        return answer, content


def _request(environ: WSGIEnvironment) -> Request:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else environ["wsgi.input"].read()
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-").lower().encode(), str(value).encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name in {"CONTENT_TYPE", "CONTENT_LENGTH"} and value)
    ]
    target = quote(environ["PATH_INFO"].encode("latin-1")).encode()
    if environ["QUERY_STRING"]:
        target += b"?" + environ["QUERY_STRING"].encode("latin-1")
    version = environ["SERVER_PROTOCOL"].removeprefix("HTTP/")
    return Request(environ["REQUEST_METHOD"], target, headers, version, "127.0.0.1", body=body)
