"""gunicorn's ASGI worker, with two differences: webhooks take a short way, and idle connections do not hold up its end.

gunicorn waits ``graceful_timeout`` for every connection that is open, whether or not a request is under way on it; load
balancers keep idle ones for minutes. A restart would take half a minute, and Cobalt's second try comes after a second.

Both lean on names that gunicorn keeps to itself; its version is pinned, and tests see it when they change.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any
from weakref import WeakSet

from gunicorn.asgi.protocol import ASGIProtocol  # type: ignore[import-untyped]
from gunicorn.workers import gasgi  # type: ignore[import-untyped]

from service.api.webhooks import PATH

PATIENCE = 1.0
"""Seconds for a first request that is on its way."""


class Worker(gasgi.ASGIWorker):  # type: ignore[misc]  # gunicorn has no types
    """Ends when the requests under way are answered."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.connections: WeakSet[ASGIProtocol] = WeakSet()

    def handle_exit_signal(self) -> None:
        """Begin to end, at SIGTERM: answer who only waits, and close connections that no request is under way on."""
        super().handle_exit_signal()
        self.asgi.end_waits()
        self._close_idle(served=1)
        # One that has not sent its first request yet may be about to.
        self.loop.call_later(PATIENCE, self._close_idle)

    def _close_idle(self, served: int = 0) -> None:
        for connection in list(self.connections):
            if connection._awaiting_request and not connection._finishing_calls and connection.req_count > served:  # noqa: SLF001
                connection.transport.close()


class Connection(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types
    """One connection of gunicorn's."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        worker.connections.add(self)

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:  # noqa: ANN401
        """Answer one request, and say whether the connection can be kept.

        ASGI's task, messages and checks take as long as all that a webhook needs besides.
        """
        if request.path != PATH or request.method != "POST":
            kept: bool = await super()._serve_http_request(request, sockname, peername)
            return kept
        reply = await self.app.webhooks.reply(request.method, request.headers_bytes, self._body_receiver.receive)
        self._body_receiver.expect_continue = False  # the answer is there, whether or not the body was asked for
        closes = self._will_close(request, response_requires_close=False)
        if not self._closed:
            self._send_response_start(reply.status, reply.headers, request, close=closes)
            self._send_body(reply.content)
            if self._flow_control.write_paused:  # answers are not read: no more of them until they are
                await self._flow_control.drain()
        if reply.status >= HTTPStatus.BAD_REQUEST:
            await asyncio.sleep(0)  # nothing had to be waited for, and others have their turn
        return not closes


ASGIProtocol._check_h1c_protocol_available()  # noqa: SLF001  it looks for the parser in this class, not in ours
gasgi.ASGIProtocol = Connection  # the name by which the worker makes one for each connection
