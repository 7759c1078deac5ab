"""What operations of the API have in common: headers, problems, the two ways to authenticate."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from service.web.policy.problems import CONTENT_TYPE, DETAILS, problem_body
from service.web.schemas.appointments import APPOINTMENT_ID, QUARANTINED_ID

Json = dict[str, Any]

REQUEST_ID = "req_01M82H411FTRZNBWNK8888BX86"
ETAG = '"3-7f2e1c0b9a8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b"'
INSTANT = "2025-01-01T15:00:00.123456Z"


def _header(description: str, schema: Json, example: str, *, required: bool = False) -> Json:
    return {"description": description, "required": required, "schema": schema, "example": example}


HEADERS: dict[str, Json] = {
    "X-Request-Id": _header(
        "The request's id: the caller's own if it was valid, else one of ours. It is in the log.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
        REQUEST_ID,
        required=True,
    ),
    "Location": _header(
        "The URL of the appointment.",
        {"type": "string", "format": "uri-reference"},
        f"/v1/appointments/{APPOINTMENT_ID}",
        required=True,
    ),
    "Link": _header(
        "The next page, if there is one (RFC 8288). Its cursor carries the filters, encrypted.",
        {"type": "string"},
        '</v1/appointments?limit=50&cursor=Hk0V>; rel="next"',
    ),
    "ETag": _header("The version of the answer (RFC 9110).", {"type": "string"}, ETAG, required=True),
    "Preference-Applied": _header("Which preferences were followed (RFC 7240).", {"type": "string"}, "wait=30"),
    "Vary": _header("Request headers that the answer depends on.", {"type": "string"}, "Accept"),
    "Cache-Control": _header("How long the answer may be cached.", {"type": "string"}, "no-cache"),
    "Content-Security-Policy": _header(
        "What a browser may load for the page.", {"type": "string"}, "default-src 'none'; script-src 'self'"
    ),
    "X-Content-Type-Options": _header(
        "Tells browsers not to guess another content type.", {"type": "string"}, "nosniff"
    ),
    "Referrer-Policy": _header(
        "Tells browsers not to send the page's address to other servers.", {"type": "string"}, "no-referrer"
    ),
    "Content-Disposition": _header(
        "The file name, if the answer is a file.", {"type": "string"}, 'attachment; filename="a.csv"'
    ),
    "As-Of": _header(
        "Everything up to this instant is included. A replica may lack later changes.",
        {"type": "string", "format": "date-time"},
        INSTANT,
    ),
    "Idempotent-Replayed": _header(
        "`true` if this repeats the first answer to the same Idempotency-Key.",
        {"type": "string", "enum": ["true"]},
        "true",
    ),
    "Retry-After": _header(
        "Seconds after which to try again.", {"type": "string", "pattern": "^[0-9]+$"}, "1", required=True
    ),
    "WWW-Authenticate": _header("What is missing (RFC 6750).", {"type": "string"}, "Bearer", required=True),
    "RateLimit-Limit": _header("Requests per minute.", {"type": "string", "pattern": "^[0-9]+$"}, "600"),
    "RateLimit-Remaining": _header("Requests that are left.", {"type": "string", "pattern": "^[0-9]+$"}, "599"),
    "RateLimit-Reset": _header("Seconds until more are available.", {"type": "string", "pattern": "^[0-9]+$"}, "1"),
}
"""Every response header that an operation may name; a new one is described here first."""

PARAMETERS: dict[str, Json] = {
    "X-Request-Id": {
        "in": "header",
        "name": "X-Request-Id",
        "description": "The caller's own id for this request: 8 to 64 of A-Z a-z 0-9 . _ -; any other is replaced.",
        "schema": {"type": "string"},
        "example": REQUEST_ID,
    },
    "Idempotency-Key": {
        "in": "header",
        "name": "Idempotency-Key",
        "description": "A request that repeats the same key and body gets the first answer, for a day, however its "
        "JSON is formatted. Use a text that is unique to the request, such as a UUID.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "example": "8d3f1c1e-5a0b-4a39-9a0a-2f4c0c5f5b6e",
    },
    "If-None-Match": {
        "in": "header",
        "name": "If-None-Match",
        "description": "The ETag that the caller has; the answer is 304 while nothing has changed.",
        "schema": {"type": "string"},
        "example": ETAG,
    },
    "If-Match": {
        "in": "header",
        "name": "If-Match",
        "description": "The ETag of the appointment as the caller knows it, or several, separated by commas; 412 if "
        "it has changed since. An ETag is valid with other keys too, whatever their scopes. `*` matches any; a weak "
        "ETag (`W/`) matches none.",
        "schema": {"type": "string"},
        "example": ETAG,
    },
    "Prefer": {
        "in": "header",
        "name": "Prefer",
        "description": "`wait=N`: answer when something changes, or after N seconds (RFC 7240). A write with "
        "`handling=lenient` is accepted even if the account's catalogue does not list what it names.",
        "schema": {"type": "string"},
        "example": "wait=30",
    },
}
"""Every request header that an operation may read, by the name of its component."""

IDS = {
    "account": "clinic_1",
    "appointment_id": APPOINTMENT_ID,
    "quarantined_id": QUARANTINED_ID,
}
"""Examples of ids in paths."""

SECURITY: dict[str, Json] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "cak_...",
        "description": "An API key, made by `cobalt-appointments keys create`. Scopes: `read`; `write`; `phi`, which "
        "shows MRNs and notes unmasked; `ops`. Each operation names the scope that it needs.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "cobalt-verification",
        "description": "Hex HMAC-SHA256 of the body, byte for byte, keyed by one of `COBALT_WEBHOOK_SECRETS`.",
    },
}

SCHEMAS: dict[str, Json] = {
    "Problem": {
        "type": "object",
        "description": "What is wrong and how to fix it (RFC 9457). It never contains a value from the request.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "The kind of problem"},
            "title": {"type": "string", "description": "The kind of problem, for people"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status"},
            "detail": {"type": "string", "description": "What is wrong, and how to fix it"},
            "errors": {
                "type": "array",
                "description": "Each wrong field or parameter",
                "items": {"$ref": "#/components/schemas/WrongField"},
            },
        },
    },
    "WrongField": {
        "type": "object",
        "description": "What is wrong with one field or parameter.",
        "required": ["pointer", "detail"],
        "properties": {
            "pointer": {
                "type": "string",
                "format": "json-pointer",
                "description": "A place in the body, or `/query/NAME`. For an unknown name, which is not repeated, it "
                "points to the whole body or query",
            },
            "detail": {"type": "string", "description": "What is wrong with it"},
        },
    },
}

_WHEN = {
    HTTPStatus.BAD_REQUEST: "The request cannot be read: its body, a header or a cursor.",
    HTTPStatus.UNAUTHORIZED: "The API key is missing or not valid.",
    HTTPStatus.FORBIDDEN: "The API key lacks the scope.",
    HTTPStatus.NOT_FOUND: "It does not exist.",
    HTTPStatus.NOT_ACCEPTABLE: "It is not available in any type that `Accept` names.",
    HTTPStatus.GONE: "The cursor belongs to a database that no longer exists.",
    HTTPStatus.CONFLICT: "The state does not allow this, or a request with this Idempotency-Key is in progress.",
    HTTPStatus.PRECONDITION_FAILED: "The appointment has changed: its ETag is not in `If-Match`.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not sent as JSON.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Fields or parameters are missing or wrong, or an Idempotency-Key was used for "
    "another request.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests with this API key.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed.",
    HTTPStatus.SERVICE_UNAVAILABLE: "PostgreSQL is unavailable or too slow, or the service is overloaded.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "HTTP/1.0 cannot distinguish a truncated file from a complete one.",
}
_BESIDES = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.FORBIDDEN: ("WWW-Authenticate",),
    HTTPStatus.NOT_FOUND: ("As-Of",),
    HTTPStatus.PRECONDITION_FAILED: ("ETag",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
LEFT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
"""The rate limit headers, in every answer to a key that has a limit."""
_EXAMPLE_ERRORS = {HTTPStatus.UNPROCESSABLE_ENTITY: {"/mrn": "Missing data for required field."}}


def path_parameter(name: str) -> Json:
    """Describe a parameter of a path, which is always an id."""
    what = name.removesuffix("_id").replace("_", " ")
    return {
        "in": "path",
        "name": name,
        "required": True,
        "description": f"The id of the {what}.",
        "schema": {"type": "string", "minLength": 1},
        "example": IDS.get(name, "an-id"),
    }


def headers(*names: str) -> dict[str, Json]:
    """Return references to response headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def problem_name(status: int) -> str:
    """Return the name of the component of a problem's response."""
    return HTTPStatus(status).phrase.title().replace(" ", "")


def problem_responses() -> dict[str, Json]:
    """Describe the answer to every problem, by the name of its component."""
    return {
        problem_name(status): {
            "description": when,
            "headers": headers(
                "X-Request-Id", *_BESIDES.get(status, ()), *(LEFT if status is not HTTPStatus.UNAUTHORIZED else ())
            ),
            "content": {
                CONTENT_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": problem_body(status, DETAILS.get(status, when), _EXAMPLE_ERRORS.get(status)),
                }
            },
        }
        for status, when in _WHEN.items()
    }
