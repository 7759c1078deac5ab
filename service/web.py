"""The web process as ASGI: webhooks on the event loop, everything else by Flask in threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service import metrics
from service.api.threads import ThreadedApp
from service.api.waiting import PatientApp, Watch
from service.api.webhooks import PATH, WebhookEndpoint

if TYPE_CHECKING:
    from flask import Flask

    from service.api.asgi import Receive, Scope, Send


class Web:
    """Serves one application; the server calls it for each request.

    Args:
        app: From ``create_app``.

    Attributes:
        webhooks: What answers webhooks, which the server may ask itself.
    """

    def __init__(self, app: Flask) -> None:
        settings = app.extensions["settings"]
        self._drainer = app.extensions["drainer"]
        self._close = app.extensions["close"]
        self._pools = app.extensions["pools"]
        self.webhooks = WebhookEndpoint(app.extensions["taker"], settings.webhook_max_bytes)
        self._watch = Watch(app.extensions["look"])
        threaded = ThreadedApp(app, threads=settings.database_pool, most=settings.request_max_bytes)
        self._rest = PatientApp(threaded, self._watch, settings.longest_wait)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the beginning and end of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})  # refused: there are none here
        elif scope["path"] == PATH:
            await self.webhooks(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    def end_waits(self) -> None:
        """Answer all who only wait for news; the server calls it when it is to end."""
        self._watch.end()

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start what runs beside the requests: in each process, since threads do not survive a fork."""
        await receive()
        self._drainer.start()
        end_metrics = metrics.start(self._pools)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        end_metrics()
        self._close()
        await send({"type": "lifespan.shutdown.complete"})
