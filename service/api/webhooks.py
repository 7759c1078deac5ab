"""The address that Cobalt's webhook configuration points at: plain ASGI beside Flask.

A sender gone mad meets this first, and threads, routing, contexts and hooks cost more than everything that a
webhook needs; see docs/decisions.
"""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from service import log, metrics
from service.api.asgi import BodyTooLargeError, BrokenOffError, answer, read_body
from service.api.problems import CONTENT_TYPE, problem_body
from service.api.tracing import good_request_id
from service.signing import HEADER

if TYPE_CHECKING:
    from service.api.asgi import Receive, Scope, Send
    from service.usecases.take_webhook import WebhookTaker

PATH = "/webhooks/cobalt"

logger = log.get_logger(__name__)

_PROBLEMS = {
    HTTPStatus.BAD_REQUEST: "The body broke off or was not sent as HTTP says.",
    HTTPStatus.UNAUTHORIZED: "The header cobalt-verification does not sign this body.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address takes POST only.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "This is larger than any webhook of Cobalt's.",
    HTTPStatus.SERVICE_UNAVAILABLE: "There is nowhere to keep this now; send it again.",
}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: [(b"www-authenticate", b"cobalt-verification")],
    HTTPStatus.METHOD_NOT_ALLOWED: [(b"allow", b"POST")],
    HTTPStatus.SERVICE_UNAVAILABLE: [(b"retry-after", b"1")],
}
_OUTCOMES = {
    HTTPStatus.BAD_REQUEST: "broken_off",
    HTTPStatus.UNAUTHORIZED: "refused",
    HTTPStatus.METHOD_NOT_ALLOWED: "wrong_method",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_kept",
}
_SIGNATURE = HEADER.encode()


class WebhookEndpoint:
    """Takes webhooks.

    Args:
        taker: Does the work.
        max_bytes: The largest body taken.
    """

    def __init__(self, taker: WebhookTaker, max_bytes: int) -> None:
        self._taker = taker
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 2xx only for what is kept, 4xx only for what is not Cobalt's."""
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = good_request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        structlog.contextvars.bind_contextvars(request_id=request_id)  # each request is a task with its own context
        try:
            status, body = await self._take(scope, headers, receive, request_id)
        except Exception:
            logger.exception("webhook broke")
            status, body = _problem(HTTPStatus.SERVICE_UNAVAILABLE)
        content = json.dumps(body).encode()
        kind = "application/json" if status < HTTPStatus.BAD_REQUEST else CONTENT_TYPE
        answer_headers = [
            (b"content-type", kind.encode()),
            (b"content-length", b"%d" % len(content)),
            (b"x-request-id", request_id.encode()),
            *_HEADERS.get(status, ()),
        ]
        await answer(send, status, answer_headers, content)
        outcome = str(body["disposition"]) if status < HTTPStatus.BAD_REQUEST else _OUTCOMES[status]
        metrics.webhook_answered(outcome, time.perf_counter() - began)

    async def _take(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> tuple[HTTPStatus, dict[str, object]]:
        if scope["method"] != "POST":
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            raw = await read_body(headers, receive, self._max_bytes)
        except BodyTooLargeError:
            return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except BrokenOffError:
            logger.warning("webhook broke off")
            return _problem(HTTPStatus.BAD_REQUEST)
        signature = headers.get(_SIGNATURE)
        taken = await self._taker.take(raw, None if signature is None else signature.decode("latin-1"), request_id)
        if taken.disposition is None:
            return _problem(HTTPStatus(taken.http_status))
        return HTTPStatus(taken.http_status), {
            "event_id": taken.event_id,
            "disposition": taken.disposition.value,
        }


def _problem(status: HTTPStatus) -> tuple[HTTPStatus, dict[str, object]]:
    return status, problem_body(status, _PROBLEMS[status])
