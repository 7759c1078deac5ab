"""The address that Cobalt's webhook configuration points at: beside Flask, and under gunicorn past ASGI too.

A sender gone mad meets this first, and threads, routing, contexts and hooks cost more than everything that a
webhook needs; see docs/decisions.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import orjson

from service import log, metrics
from service.api.asgi import BodyTooLargeError, BrokenOffError, answer, read_body
from service.api.problems import CONTENT_TYPE, problem_body
from service.api.tracing import good_request_id
from service.signing import HEADER
from service.usecases.take_webhook import NOWHERE_TO_KEEP_IT, Answer

if TYPE_CHECKING:
    from service.api.asgi import Headers, Receive, Scope, Send
    from service.usecases.take_webhook import WebhookTaker

PATH = "/webhooks/cobalt"

logger = log.get_logger(__name__)

_PROBLEMS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "The body broke off or was not sent as HTTP says.",
    HTTPStatus.UNAUTHORIZED: "The header cobalt-verification does not sign this body.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address takes POST only.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "This is larger than any webhook of Cobalt's.",
    HTTPStatus.SERVICE_UNAVAILABLE: "There is nowhere to keep this now; send it again.",
}
_HEADERS: dict[int, list[tuple[bytes, bytes]]] = {
    HTTPStatus.UNAUTHORIZED: [(b"www-authenticate", b"cobalt-verification")],
    HTTPStatus.METHOD_NOT_ALLOWED: [(b"allow", b"POST")],
    HTTPStatus.SERVICE_UNAVAILABLE: [(b"retry-after", b"1")],
}
_OUTCOMES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "broken_off",
    HTTPStatus.UNAUTHORIZED: "refused",
    HTTPStatus.METHOD_NOT_ALLOWED: "wrong_method",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_kept",
}
_SIGNATURE = HEADER.encode()
_BROKEN_OFF = Answer(HTTPStatus.BAD_REQUEST, None)
_NO_POST = Answer(HTTPStatus.METHOD_NOT_ALLOWED, None)
_TOO_LARGE = Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, None)


class Reply(NamedTuple):
    """What one request is answered over HTTP."""

    status: int
    headers: Headers
    content: bytes


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
        """Answer one request as ASGI does."""
        await answer(send, *(await self.reply(scope["method"], scope["headers"], receive)))

    async def reply(self, method: str, headers: Headers, receive: Receive) -> Reply:
        """Say what to answer one request: 2xx only for what is kept, 4xx only for what is not Cobalt's.

        Args:
            method: Of the request.
            headers: Of the request, with lower-case names.
            receive: Gives the body, as in ASGI.
        """
        began = time.perf_counter()
        named = dict(headers)
        request_id = good_request_id(named.get(b"x-request-id", b"").decode("latin-1"))
        try:
            taken = await self._take(method, named, receive, request_id)
        except Exception:
            logger.exception("webhook broke", request_id=request_id)
            taken = NOWHERE_TO_KEEP_IT
        metrics.webhook_answered(taken.disposition or _OUTCOMES[taken.http_status], time.perf_counter() - began)
        return _reply(taken, request_id.encode())

    async def _take(self, method: str, headers: dict[bytes, bytes], receive: Receive, request_id: str) -> Answer:
        if method != "POST":
            return _NO_POST
        try:
            raw = await read_body(headers, receive, self._max_bytes)
        except BodyTooLargeError:
            return _TOO_LARGE
        except BrokenOffError:
            logger.warning("webhook broke off", request_id=request_id)
            return _BROKEN_OFF
        signature = headers.get(_SIGNATURE)
        return await self._taker.take(raw, None if signature is None else signature.decode("latin-1"), request_id)


def _reply(taken: Answer, request_id: bytes) -> Reply:
    status = taken.http_status
    if taken.disposition is None:
        kind = CONTENT_TYPE.encode()
        content = orjson.dumps(problem_body(status, _PROBLEMS[status]))
        headers = _HEADERS.get(status, [])
    else:
        kind = b"application/json"
        content = orjson.dumps({"event_id": taken.event_id, "disposition": taken.disposition})
        headers = []
    return Reply(
        status,
        [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(content)),
            (b"x-request-id", request_id),
            *headers,
        ],
        content,
    )
