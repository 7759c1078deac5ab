"""The worker's own address: its metrics, and whether it works."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from service.errors import SettingsError
from service.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

METRICS, LIVE, READY = "/metrics", "/livez", "/readyz"
LONGEST_ROUND = 120.0
"""Seconds: every job in it may wait for PostgreSQL until it gives up."""
SILENCE_TIMEOUT = 5
"""Seconds for a request: whoever is silent for longer is not waited for."""
Health = Mapping[str, tuple[Callable[[], bool], str]]
"""Path -> whether all is well, and what is wrong otherwise."""


class Beat:
    """The sign of life of a loop."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def give(self) -> None:
        """Say that it lives."""
        self._at = time.monotonic()

    def is_fresh(self) -> bool:
        """Tell whether it was given lately."""
        return time.monotonic() - self._at < LONGEST_ROUND


@contextmanager
def serving(host: str, port: int, health: Health) -> Iterator[None]:
    """Answer ``/metrics`` and the paths of health, in threads.

    Raises:
        SettingsError: The port cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        server = _Server(family, (host, port))
    except OSError as error:
        raise SettingsError(f"METRICS_PORT: port {port} cannot be listened on") from error
    server.set_app(make_app(health))
    thread = threading.Thread(target=server.serve_forever, name="address", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_app(health: Health) -> WSGIApplication:
    """Make what answers."""
    show_metrics = make_wsgi_app(metrics.REGISTRY)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        path = environ["PATH_INFO"]
        if path == METRICS:
            return iter(show_metrics(environ, start_response))
        if path not in health:
            return _say(start_response, HTTPStatus.NOT_FOUND, {"status": "not found"})
        is_well, otherwise = health[path]
        if not is_well():
            return _say(start_response, HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not well", "detail": otherwise})
        return _say(start_response, HTTPStatus.OK, {"status": "ok"})

    return answer


def _say(start_response: StartResponse, status: HTTPStatus, body: Mapping[str, str]) -> Iterator[bytes]:
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    start_response(f"{status.value} {status.phrase}", headers)
    return iter([json.dumps(body).encode()])


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        self.address_family = family
        super().__init__(address, _Handler)


class _Handler(WSGIRequestHandler):
    timeout = SILENCE_TIMEOUT

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Say nothing: a line for each scrape is of no use."""
