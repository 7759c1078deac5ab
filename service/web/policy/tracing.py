"""The request id: taken from the caller or made, answered, logged, and kept with what the request causes."""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from secrets import token_hex
from typing import TYPE_CHECKING

import structlog
from flask import g, request

from service.telemetry import log, metrics

if TYPE_CHECKING:
    from flask import Flask, Response

logger = log.get_logger(__name__)
refusals = log.Sampled(logger)

_GOOD = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


def register(app: Flask) -> None:
    """Give every request of this application an id and a line in the log."""
    app.before_request(_begin)
    app.after_request(_end)


def good_request_id(given: str | None) -> str:
    """Take the caller's request id if it is a plain one, else make one."""
    return given if given and _GOOD.fullmatch(given) else f"req_{token_hex(13)}"  # a third of an id that sorts


def request_id() -> str:
    """Say the id of the request under way."""
    found: str = g.request_id
    return found


def pause() -> None:
    """Note that the request under way is answered later: it is logged then, and what it waits is not its time."""
    g.paused_at = time.monotonic()


def go_on() -> None:
    """Note that the request is worked on again after a ``pause``."""
    g.began += time.monotonic() - g.pop("paused_at")


def _begin() -> None:
    g.request_id = good_request_id(request.headers.get("X-Request-Id"))
    g.began = time.monotonic()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    if "paused_at" in g:
        return response
    response.headers["X-Request-Id"] = g.request_id
    route = request.url_rule.rule if request.url_rule else None  # the path itself may hold anything
    seconds = time.monotonic() - g.began
    metrics.request_answered(route, request.method, response.status_code, seconds)
    fields = {"method": request.method, "route": route, "http_status": response.status_code}
    fields["seconds"] = round(seconds, 4)
    if "caller" in g:
        logger.info("request", **fields)
    elif response.status_code >= HTTPStatus.BAD_REQUEST:
        refusals.warning("request without a valid key", **fields)  # strangers can send them without end
    else:  # health checks, metrics and documents
        logger.debug("request", **fields)
    return response
