"""gunicorn's ASGI worker, with one difference: it does not wait for idle connections when it is to end.

gunicorn waits ``graceful_timeout`` for every connection that is open, whether or not a request is under way on it; load
balancers keep idle ones for minutes. A restart would take half a minute, and Cobalt's second try comes after a second.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from gunicorn.asgi.protocol import ASGIProtocol  # type: ignore[import-untyped]
from gunicorn.workers import gasgi  # type: ignore[import-untyped]

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


def _connection(worker: Worker) -> ASGIProtocol:
    made = ASGIProtocol(worker)
    worker.connections.add(made)
    return made


gasgi.ASGIProtocol = _connection  # the name by which the worker makes one for each connection
