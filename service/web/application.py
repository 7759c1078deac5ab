"""The web process: answers webhooks on the event loop, and everything else by Flask in threads."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson

from service.telemetry import log, metrics
from service.usecases.submissions.find_news import find_news
from service.web.policy.problems import CONTENT_TYPE, DETAILS, problem_body
from service.web.policy.tracing import good_request_id
from service.web.process.messages import Answer
from service.web.process.threads import ThreadedApp
from service.web.process.waiting import PatientApp, Watch
from service.web.process.webhooks import WebhookEndpoint, is_webhook
from service.web.services import services_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from service.web.process.messages import Request

OPERATIONS = ("/metrics", "/openapi.json", "/docs")
"""What is answered only at the address for operations, where there is one."""

OTHER_DESCRIPTORS = 16
"""For the door's own connection, that of /metrics, the spool's files and those of the metrics."""

refusals = log.Sampled(log.get_logger(__name__))


class Web:
    """Answers every request of one process; ``service.web.server`` reads and writes them.

    Args:
        app: From ``create_app``.
    """

    def __init__(self, app: Flask) -> None:
        self._services = services_of(app)
        self.settings = self._services.settings
        self._webhooks = WebhookEndpoint(
            self._services.taker, self.settings.webhook_max_bytes, is_on=self.settings.takes_webhooks
        )
        self._watch = Watch(partial(find_news, self._services.engine))
        self._rest = PatientApp(
            ThreadedApp(app, threads=self.settings.database_pool), self._watch, self.settings.longest_wait
        )
        self._end_metrics: Callable[[], None] = lambda: None

    @property
    def descriptors(self) -> int:
        """How many descriptors this process may need besides those of its connections."""
        sizes: list[int] = [pool.pool.size() for pool in self._services.pools.values()]  # type: ignore[attr-defined]
        return sum(sizes) + OTHER_DESCRIPTORS

    def start(self) -> None:
        """Start what runs beside the requests: in each process, for threads do not survive a fork."""
        self._services.drainer.start()
        self._end_metrics = metrics.start(self._services.pools)

    def end_waits(self) -> None:
        """Answer all who only wait for news."""
        self._watch.end()

    def stop(self) -> None:
        """Close everything."""
        self._end_metrics()
        self._services.close()

    def admit(self, request: Request) -> int | Answer:
        """Judge a request by its head; see ``service.web.process.messages.Application``."""
        if is_webhook(request.path):
            return self._webhooks.admit(request)
        if self._is_hidden(request):
            return self.refuse(HTTPStatus.NOT_FOUND, DETAILS[HTTPStatus.NOT_FOUND], request)
        if (request.announced or 0) > self.settings.request_max_bytes:
            detail = DETAILS[HTTPStatus.REQUEST_ENTITY_TOO_LARGE]
            return self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, request)
        return self.settings.request_max_bytes

    async def __call__(self, request: Request) -> Answer:
        """Answer a request that was admitted."""
        if is_webhook(request.path):
            return await self._webhooks.answer(request)
        return await self._rest.answer(request)

    def refuse(self, status: int, detail: str, request: Request | None) -> Answer:
        """Refuse what no view is asked about."""
        given = request.header(b"x-request-id") if request else None
        request_id = good_request_id((given or b"").decode("latin-1"))
        metrics.request_answered(None, request.method if request else "none", status, 0.0)
        refusals.warning("request refused", http_status=status, request_id=request_id)
        headers = [(b"content-type", CONTENT_TYPE.encode()), (b"x-request-id", request_id.encode())]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append((b"retry-after", b"1"))
        return Answer(status, headers, orjson.dumps(problem_body(status, detail)))

    def _is_hidden(self, request: Request) -> bool:
        if self.settings.internal_port is None or request.internal:
            return False
        path = request.path.decode("latin-1")
        return any(path == one or path.startswith(f"{one}/") for one in OPERATIONS)
