"""Serving the sandbox: one gunicorn worker, because the state is in its memory, with many threads."""

import socket
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

# A call that waits for its webhook holds a thread for as long as the receiver takes.
THREADS = 64


class Server(BaseApplication):  # type: ignore[misc]
    """Serves what `make_app` makes, on a socket that is listening already."""

    def __init__(self, make_app: Callable[[], Flask], listener: socket.socket, ready: str) -> None:
        self._make_app = make_app
        self._listener = listener
        self._ready = ready
        super().__init__()

    def load_config(self) -> None:
        """Fill in gunicorn's settings."""
        settings = {
            "bind": f"fd://{self._listener.detach()}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": THREADS,
            # Cobalt's header names have underscores. A WSGI environment has no way to tell client_id from
            # client-id, so gunicorn drops such headers unless told that confusing the two does no harm.
            "header_map": "dangerous",
            # Longer than clients keep idle connections, so that it is never us who closes one in use.
            "keepalive": 75,
            "timeout": 0,  # a restarted worker would have forgotten every appointment
            "graceful_timeout": 1,
            "loglevel": "error",  # warnings quote malformed headers, which may be secrets
            "accesslog": None,
            "control_socket_disable": True,
            "post_worker_init": lambda _worker: print(self._ready, flush=True),  # noqa: T201
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - gunicorn has no types
        """The application, made in the worker so that its threads are the worker's."""
        return self._make_app()
