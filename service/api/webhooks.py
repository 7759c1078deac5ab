"""The address that Cobalt's webhook configuration points at: plain WSGI before Flask.

A sender gone mad meets this first, and routing, contexts and hooks cost more than everything that a webhook
needs; see docs/decisions.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from service import log
from service.api.problems import CONTENT_TYPE, problem_body
from service.api.tracing import good_request_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

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
    HTTPStatus.METHOD_NOT_ALLOWED: [("Allow", "POST")],
    HTTPStatus.SERVICE_UNAVAILABLE: [("Retry-After", "1")],
}


class WebhookEndpoint:
    """Takes webhooks, and passes everything else on.

    Args:
        rest: The application for every other address.
        taker: Does the work.
        max_bytes: The largest body taken.
    """

    def __init__(self, rest: WSGIApplication, taker: WebhookTaker, max_bytes: int) -> None:
        self._rest = rest
        self._taker = taker
        self._max_bytes = max_bytes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request: 2xx only for what is kept, 4xx only for what is not Cobalt's."""
        if environ["PATH_INFO"] != PATH:
            return self._rest(environ, start_response)
        request_id = good_request_id(environ.get("HTTP_X_REQUEST_ID"))
        # What an earlier request on the same connection left behind would be logged as this one's.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            status, body = self._take(environ, request_id)
        except Exception:
            logger.exception("webhook broke")
            status, body = _problem(HTTPStatus.SERVICE_UNAVAILABLE)
        content = json.dumps(body).encode()
        headers = [
            ("Content-Type", "application/json" if status < HTTPStatus.BAD_REQUEST else CONTENT_TYPE),
            ("Content-Length", str(len(content))),
            ("X-Request-Id", request_id),
            *_HEADERS.get(status, ()),
        ]
        start_response(f"{status.value} {status.phrase}", headers)
        return [content]

    def _take(self, environ: WSGIEnvironment, request_id: str) -> tuple[HTTPStatus, dict[str, object]]:
        if environ["REQUEST_METHOD"] != "POST":
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            raw = self._read(environ)
        except Exception as error:  # noqa: BLE001 (each server and parser has its own)
            logger.warning("webhook broke off", problem=type(error).__name__)
            return _problem(HTTPStatus.BAD_REQUEST)
        if raw is None:
            return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        answer = self._taker.take(raw, environ.get("HTTP_COBALT_VERIFICATION"), request_id)
        if answer.disposition is None:
            return _problem(HTTPStatus(answer.http_status))
        return HTTPStatus(answer.http_status), {
            "event_id": answer.event_id,
            "disposition": answer.disposition.value,
        }

    def _read(self, environ: WSGIEnvironment) -> bytes | None:
        """Read the body; None when it is larger than any that is taken."""
        announced = environ.get("CONTENT_LENGTH") or ""
        if announced.isdecimal():
            length = int(announced)
            return None if length > self._max_bytes else bytes(environ["wsgi.input"].read(length))
        if not environ.get("wsgi.input_terminated"):
            return b""
        # Sent in chunks: one byte more than is taken tells whether there is too much.
        raw = bytes(environ["wsgi.input"].read(self._max_bytes + 1))
        return None if len(raw) > self._max_bytes else raw


def _problem(status: HTTPStatus) -> tuple[HTTPStatus, dict[str, object]]:
    return status, problem_body(status, _PROBLEMS[status])
