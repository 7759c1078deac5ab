"""Errors as ``application/problem+json`` (RFC 9457), never with a value from the request in them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import json
from werkzeug.exceptions import HTTPException

from service.errors import (
    AppointmentsError,
    BusyError,
    ChangesLostError,
    ConflictError,
    DatabaseUnavailableError,
    InvalidCursorError,
    InvalidFieldsError,
    InvalidHeaderError,
    KeyInUseError,
    KeyReusedError,
    NotFoundError,
    ScopeMissingError,
)
from service.requests.strict import WHOLE
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask import Flask, Response

logger = log.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
_STATUS = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    ChangesLostError: HTTPStatus.GONE,
    KeyInUseError: HTTPStatus.CONFLICT,
    KeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidHeaderError: HTTPStatus.BAD_REQUEST,
    InvalidCursorError: HTTPStatus.BAD_REQUEST,
    InvalidFieldsError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DatabaseUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    BusyError: HTTPStatus.SERVICE_UNAVAILABLE,
}
DETAILS = {
    HTTPStatus.BAD_REQUEST: "The request cannot be read; the body must be one JSON document in UTF-8.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not accept this method; the header Allow lists its methods.",
    HTTPStatus.NOT_ACCEPTABLE: "This address has none of the types that the header Accept names.",
    HTTPStatus.PRECONDITION_FAILED: "It has changed since: its ETag is not in the header If-Match.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than this address accepts.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body must be sent with Content-Type: application/json.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Some fields are missing or wrong; `errors` names each, and how to fix it.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "A whole file needs HTTP/1.1, which can signal that it broke off.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed; quote the request id to find out why.",
}


def problem_body(status: int, detail: str, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Make the body of an error answer; see ``problem``."""
    phrase = HTTPStatus(status).phrase
    body: dict[str, Any] = {
        "type": f"urn:cobalt-appointments:problem:{phrase.lower().replace(' ', '-')}",
        "title": phrase,
        "status": int(status),
        "detail": detail,
    }
    if errors:
        body["errors"] = [{"pointer": pointer, "detail": what} for pointer, what in errors.items()]
    return body


def problem(
    status: int, detail: str, errors: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Make an error answer.

    Args:
        status: The HTTP status.
        detail: What is wrong and how to mend it.
        errors: JSON pointer to a field -> what is wrong with it.
        headers: More headers.
    """
    response = json.jsonify(problem_body(status, detail, errors))
    response.status_code = status
    response.content_type = CONTENT_TYPE
    response.headers.update(headers or {})
    return response


def scope_missing(error: ScopeMissingError) -> Response:
    """Answer a caller whose key lacks a scope (RFC 6750)."""
    headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{error.scope}"'}
    return problem(HTTPStatus.FORBIDDEN, str(error), error.errors, headers)


def register(app: Flask) -> None:
    """Answer every error of this application as a problem."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(AppointmentsError, _domain_error)
    app.register_error_handler(Exception, _unforeseen)


def _http_error(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    given = getattr(error, "data", None) or {}  # what webargs found
    errors = dict(_pointers(given.get("messages", {})))
    headers = {
        name: value for name, value in error.get_headers() if name.lower() not in {"content-type", "content-length"}
    }
    return problem(status, DETAILS.get(HTTPStatus(status), HTTPStatus(status).description), errors, headers)


def _domain_error(error: AppointmentsError) -> Response:
    if isinstance(error, ScopeMissingError):
        return scope_missing(error)
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        return _unforeseen(error)
    if isinstance(error, InvalidFieldsError):
        return problem(status, DETAILS[status], error.errors)
    errors = error.errors if isinstance(error, InvalidCursorError) else None
    headers = {"Retry-After": "1"} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(status, str(error), errors, headers)


def _unforeseen(error: Exception) -> Response:
    logger.error("request broke", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, DETAILS[HTTPStatus.INTERNAL_SERVER_ERROR])


def _pointers(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 (webargs' own shape)
    """Flatten webargs' nested messages to JSON pointers; for parameters, the part names the place."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            # webargs names the place first: json, query, headers. A pointer into the body needs no place.
            whole = name == WHOLE or (not path and name == "json")
            yield from _pointers(inner, path if whole else f"{path}/{_escaped(name)}")
    elif isinstance(messages, list):
        yield path, " ".join(str(message) for message in messages)
    else:
        yield path, str(messages)


def _escaped(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")  # RFC 6901
