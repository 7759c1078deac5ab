"""gunicorn's worker process: an event loop that serves our connections, and ends when what is under way is answered.

gunicorn starts, watches and replaces the processes. This uses what its documentation offers to authors of workers, and
nothing that it keeps to itself.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from gunicorn.workers.base import Worker as BaseWorker  # type: ignore[import-untyped]

from service.telemetry import log, metrics
from service.web.server.connection import Connection
from service.web.server.connections import Connections, Limits

if TYPE_CHECKING:
    from socket import socket

    from service.config import Settings
    from service.web.application import Web

TICK = 0.25
"""Seconds between looks at deadlines, and signs of life to gunicorn."""
FIRST_REQUEST_GRACE = 1.0
"""Seconds for a first request that is on its way when the process is to end."""
SPARE_DESCRIPTORS = 32
"""For files that are open for a moment: logs, the spool, look-ups of names."""
FEWEST = 16
"""Connections below which a process is of no use."""

logger = log.get_logger(__name__)


class Worker(BaseWorker):  # type: ignore[misc]  # gunicorn has no types
    """One web process; ``self.wsgi`` is what ``wsgi:app`` names."""

    def run(self) -> None:
        """Serve until a signal comes."""
        signal.set_wakeup_fd(-1)  # gunicorn's; the loop has its own
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        web: Web = self.wsgi
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(signum, told.set)
        connections = _make_connections(web)
        web.start()
        limits = Limits.from_settings(web.settings)
        servers = [
            await loop.create_server(
                partial(Connection, web, connections, limits, internal=_is_internal(listener.sock, web.settings)),
                sock=listener.sock,
                backlog=self.cfg.backlog,  # or the loop would listen anew with one of its own
            )
            for listener in self.sockets
        ]
        ticking = loop.create_task(self._tick(connections, told))
        await told.wait()
        for server in servers:
            server.close()
        web.end_waits()
        connections.finish(loop.time() + FIRST_REQUEST_GRACE)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.cfg.graceful_timeout - FIRST_REQUEST_GRACE):
                await connections.until_all_left()
        ticking.cancel()
        web.stop()

    async def _tick(self, connections: Connections, told: asyncio.Event) -> None:
        while True:
            self.notify()
            connections.sweep(asyncio.get_running_loop().time())
            metrics.http_connections.set(len(connections))
            if os.getppid() != self.ppid:  # gunicorn was killed
                told.set()
            await asyncio.sleep(TICK)


def _is_internal(listener: socket, settings: Settings) -> bool:
    """Tell whether a socket listens at the address for operations."""
    return settings.internal_port is not None and listener.getsockname()[1] == settings.internal_port


def _make_connections(web: Web) -> Connections:
    """Make room for as many connections as the settings and the descriptors of this process allow."""
    descriptors = _raise_limit()
    taken = len(list(Path("/dev/fd").iterdir())) + web.descriptors + SPARE_DESCRIPTORS
    most = max(FEWEST, min(web.settings.connection_limit, descriptors - taken))
    say = logger.info if most == web.settings.connection_limit else logger.warning
    say("room for connections", count=most, descriptors=descriptors)
    metrics.http_connections_limit.set(most)
    return Connections(most=most, most_bytes=web.settings.buffer_limit)


def _raise_limit() -> int:
    """Take as many descriptors as this process may have; return how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else sys.maxsize
