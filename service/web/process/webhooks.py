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
from service.domain.states import Disposition
from service.telemetry import log, metrics
from service.usecases.events.take_webhook import PATH, Refusal, Taken
from service.web.policy.problems import CONTENT_TYPE, problem_body
from service.web.policy.tracing import good_request_id
from service.web.process.messages import Answer

if TYPE_CHECKING:
    from service.usecases.events.take_webhook import WebhookTaker
    from service.web.process.messages import Request


logger = log.get_logger(__name__)
refusals = log.Sampled(logger)

WRONG_METHOD, TOO_LARGE, SWITCHED_OFF = "wrong_method", "too_large", "switched_off"

_STATUSES: dict[str, int] = {
    Disposition.SPOOLED: HTTPStatus.ACCEPTED,
    Disposition.QUARANTINED: HTTPStatus.ACCEPTED,
    Refusal.NOT_COBALTS: HTTPStatus.UNAUTHORIZED,
    Refusal.NOT_KEPT: HTTPStatus.SERVICE_UNAVAILABLE,
    WRONG_METHOD: HTTPStatus.METHOD_NOT_ALLOWED,
    TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    SWITCHED_OFF: HTTPStatus.NOT_FOUND,
}
"""By what became of a delivery; 200 for every other disposition."""
_PROBLEMS: dict[str, str] = {
    Refusal.NOT_COBALTS: "The header cobalt-verification does not sign this body.",
    Refusal.NOT_KEPT: "There is nowhere to keep this now; send it again.",
    WRONG_METHOD: "This address takes POST only.",
    SWITCHED_OFF: "Webhooks are switched off here (WEBHOOKS=off): outcomes are only asked for.",
    TOO_LARGE: "This is larger than any webhook of Cobalt's.",
}
_HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    Refusal.NOT_COBALTS: [(b"www-authenticate", b"cobalt-verification")],
    Refusal.NOT_KEPT: [(b"retry-after", b"1")],
    WRONG_METHOD: [(b"allow", b"POST")],
}
_PATH = PATH.encode()
_SIGNATURE = HEADER.encode()


class WebhookEndpoint:
    """Takes webhooks.

    Args:
        taker: Does the work.
        max_bytes: The largest body taken.
        is_on: Whether there are webhooks at all.
    """

    def __init__(self, taker: WebhookTaker, max_bytes: int, *, is_on: bool) -> None:
        self._taker = taker
        self._max_bytes = max_bytes
        self._is_on = is_on

    def admit(self, request: Request) -> int | Answer:
        """Judge a delivery by its head: who does not even seem to sign is not listened to."""
        refused = None
        if not self._is_on:
            refused = SWITCHED_OFF
        elif request.method != "POST":
            refused = WRONG_METHOD
        elif (request.announced or 0) > self._max_bytes:
            refused = TOO_LARGE
        elif not is_signature(_signature(request)):
            refused = Refusal.NOT_COBALTS
        if refused is None:
            return self._max_bytes
        request_id = _request_id(request)
        refusals.warning("webhook refused", outcome=refused, request_id=request_id)
        metrics.webhook_answered(refused, time.perf_counter() - request.began)
        return _answer(refused, None, request_id)

    async def answer(self, request: Request) -> Answer:
        """Say what to answer a delivery: 2xx only for what is kept, 4xx only for what is not Cobalt's."""
        request_id = _request_id(request)
        try:
            taken = await self._taker.take(request.body, _signature(request), request_id)
        except Exception:
            logger.exception("webhook broke", request_id=request_id)
            taken = Taken(Refusal.NOT_KEPT)
        metrics.webhook_answered(taken.outcome, time.perf_counter() - request.began)
        return _answer(taken.outcome, taken.event_id, request_id)


def is_webhook(path: bytes) -> bool:
    """Tell whether a path names the address of webhooks; one slash more or less is no reason to lose an event."""
    return path == _PATH or (b"cobalt" in path and b"/" + b"/".join(filter(None, path.split(b"/"))) == _PATH)


def _signature(request: Request) -> str | None:
    found = request.header(_SIGNATURE)
    return None if found is None else found.decode("latin-1")


def _request_id(request: Request) -> str:
    return good_request_id((request.header(b"x-request-id") or b"").decode("latin-1"))


def _answer(outcome: str, event_id: str | None, request_id: str) -> Answer:
    status = _STATUSES.get(outcome, HTTPStatus.OK)
    headers = [(b"x-request-id", request_id.encode())]
    if outcome in _PROBLEMS:
        headers += [(b"content-type", CONTENT_TYPE.encode()), *_HEADERS.get(outcome, [])]
        return Answer(status, headers, orjson.dumps(problem_body(status, _PROBLEMS[outcome])))
    headers.append((b"content-type", b"application/json"))
    return Answer(status, headers, orjson.dumps({"event_id": event_id, "disposition": outcome}))
