"""The address that Cobalt's webhook configuration points at: on the event loop, beside Flask.

A sender gone mad meets this first, and threads, routing, contexts and hooks cost more than everything that a
webhook needs; see docs/decisions.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson

from service.cobalt.signing import HEADER, is_signature
from service.telemetry import log, metrics
from service.usecases.events.take_webhook import NOT_COBALTS, NOWHERE_TO_KEEP_IT, PATH, Answer
from service.web.policy.problems import CONTENT_TYPE, problem_body
from service.web.policy.tracing import good_request_id
from service.web.process.messages import Answer as HttpAnswer

if TYPE_CHECKING:
    from service.usecases.events.take_webhook import WebhookTaker
    from service.web.process.messages import Request


logger = log.get_logger(__name__)
refusals = log.Sampled(logger)

_PROBLEMS: dict[int, str] = {
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
    HTTPStatus.UNAUTHORIZED: "refused",
    HTTPStatus.METHOD_NOT_ALLOWED: "wrong_method",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_kept",
}
_PATH = PATH.encode()
_SIGNATURE = HEADER.encode()
_NO_POST = Answer(HTTPStatus.METHOD_NOT_ALLOWED, None)
_TOO_LARGE = Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, None)


class WebhookEndpoint:
    """Takes webhooks.

    Args:
        taker: Does the work.
        max_bytes: The largest body taken.
    """

    def __init__(self, taker: WebhookTaker, max_bytes: int) -> None:
        self._taker = taker
        self._max_bytes = max_bytes

    def admit(self, request: Request) -> int | HttpAnswer:
        """Judge a delivery by its head: who does not even seem to sign is not listened to."""
        refused = None
        if request.method != "POST":
            refused = _NO_POST
        elif (request.announced or 0) > self._max_bytes:
            refused = _TOO_LARGE
        elif not is_signature(_signature(request)):
            refused = NOT_COBALTS
        if refused is None:
            return self._max_bytes
        request_id = _request_id(request)
        outcome = _OUTCOMES[refused.http_status]
        refusals.warning("webhook refused", outcome=outcome, request_id=request_id)
        metrics.webhook_answered(outcome, time.perf_counter() - request.began)
        return _in_http(refused, request_id)

    async def answer(self, request: Request) -> HttpAnswer:
        """Say what to answer a delivery: 2xx only for what is kept, 4xx only for what is not Cobalt's."""
        request_id = _request_id(request)
        try:
            taken = await self._taker.take(request.body, _signature(request), request_id)
        except Exception:
            logger.exception("webhook broke", request_id=request_id)
            taken = NOWHERE_TO_KEEP_IT
        outcome = taken.disposition or _OUTCOMES[taken.http_status]
        metrics.webhook_answered(outcome, time.perf_counter() - request.began)
        return _in_http(taken, request_id)


def is_webhook(path: bytes) -> bool:
    """Tell whether a path names the address of webhooks; one slash more or less is no reason to lose an event."""
    return path == _PATH or (b"cobalt" in path and b"/" + b"/".join(filter(None, path.split(b"/"))) == _PATH)


def _signature(request: Request) -> str | None:
    found = request.header(_SIGNATURE)
    return None if found is None else found.decode("latin-1")


def _request_id(request: Request) -> str:
    return good_request_id((request.header(b"x-request-id") or b"").decode("latin-1"))


def _in_http(taken: Answer, request_id: str) -> HttpAnswer:
    status = taken.http_status
    headers = [(b"x-request-id", request_id.encode())]
    if taken.disposition is None:
        headers += [(b"content-type", CONTENT_TYPE.encode()), *_HEADERS.get(status, [])]
        return HttpAnswer(status, headers, orjson.dumps(problem_body(status, _PROBLEMS[status])))
    headers.append((b"content-type", b"application/json"))
    return HttpAnswer(status, headers, orjson.dumps({"event_id": taken.event_id, "disposition": taken.disposition}))
