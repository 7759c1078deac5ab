"""Cobalt's replies, and its silences, in our words.

Facts marked [S] come from Cobalt's "Create Appointments" page, [P] from its later public documentation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from service.errors import CobaltError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.cobalt.exchange import Received

TOO_MANY = timedelta(minutes=10)
"""The longest ``Retry-After`` that is honoured."""
SHOWN = 500
"""How much of Cobalt's error messages is kept, in characters."""
LONGEST_ID = 200
"""Characters; Cobalt's ids have fewer than 40. No event could name a longer one."""
PLAUSIBLE_YEARS = range(2000, 2100)
"""A clock outside these years was never set."""


LOGIN_REQUIRED = "login_required"
"""Cobalt's code for a login to the EHR that does not work [P]."""

TAKEN, REFUSED = 2, 4
"""The hundreds of a status."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Cobalt took it: a 2xx with an id.

    Args:
        cobalt_appointment_id: The id, as text.
        job_id: The operation's, in the later reply shape [P].
        replied_at: The reply's ``Date``, on Cobalt's clock.
    """

    cobalt_appointment_id: str
    job_id: str | None
    replied_at: datetime
    http_status: int = HTTPStatus.OK.value


@dataclass(frozen=True, slots=True)
class NeverLeft:
    """The request did not reach Cobalt: refused, no such name, no TLS. Safe to send again."""

    error: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: not taken. Safe to send again later."""

    retry_after: timedelta
    http_status: int = HTTPStatus.TOO_MANY_REQUESTS.value


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """401 or 403: not taken; nothing of this account's will be until a person mends its credentials.

    Args:
        http_status: Which of them.
        login_required: Whether Cobalt says that it is the login to the EHR [P].
    """

    http_status: int
    login_required: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Another 4xx: not taken, and it would not be taken the next time either.

    Args:
        reason: Cobalt's words.
        replied_at: The reply's ``Date``, on Cobalt's clock.
    """

    http_status: int
    reason: str
    replied_at: datetime


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nobody can say whether Cobalt took it: no answer in time, a 5xx, a reply that cannot be read.

    Args:
        error: What came, or why nothing did.
        http_status: Where there is one.
        retry_after: What a 5xx says about when to come again, if anything.
    """

    error: str
    http_status: int | None = None
    retry_after: timedelta | None = None


Reply = Accepted | NeverLeft | Throttled | Unauthorized | Rejected | Unclear


class NotGrantedError(CobaltError):
    """Cobalt answered a question with something other than a 2xx.

    Args:
        reply: What it would be for a call that books.
    """

    def __init__(self, status: int, reply: Reply) -> None:
        super().__init__(f"Cobalt answered HTTP {status}", status)
        self.reply = reply


def read_reply(reply: Received, *, known_id: str | None = None) -> Reply:
    """Read a reply to a call that books or corrects, in any documented shape.

    The status alone identifies a refusal, whatever became of the rest.

    Args:
        reply: What came.
        known_id: The appointment's id at Cobalt, where a reply need not name it (a correction's does not [P]).
    """
    status = reply.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = _retry_after(reply)
        return Throttled(timedelta(seconds=1) if wait is None else wait)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Unauthorized(status, json_object(reply).get("error") == LOGIN_REQUIRED)
    if status // 100 == REFUSED:
        return Rejected(status, _message(reply), _date(reply))
    if not is_success(reply):
        return Unclear(f"HTTP {status}", status, _retry_after(reply))
    told = json_object(reply)  # a JSON object is not whole before its end: one that broke off is none
    cobalt_id = known_id or find_text(told, "appointment_id")
    if not told or told.get("success") is False or cobalt_id is None:
        return Unclear(reply.trouble or "a success that cannot be read", status)
    return Accepted(cobalt_id, find_text(told, "job_id"), _date(reply), status)


def is_success(reply: Received) -> bool:
    """Tell whether it is a 2xx."""
    return reply.status // 100 == TAKEN


def find_text(told: Mapping[str, Any], name: str) -> str | None:
    """Find an id at top level or under ``data``, as text; the later ``job_id`` is a number [P]."""
    inner = told.get("data")
    for place in (told, inner if isinstance(inner, dict) else {}):
        value = place.get(name)
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if text and len(text) <= LONGEST_ID and text.isprintable():
            return text
    return None


def json_object(reply: Received) -> dict[str, Any]:
    """Read the body; anything but a JSON object counts as an empty one."""
    try:
        body = json.loads(reply.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _message(reply: Received) -> str:
    told = json_object(reply)
    said = (told.get(name) for name in ("message", "error"))  # with or without `success` beside it [P]
    text = next((one for one in said if isinstance(one, str) and one.strip()), f"HTTP {reply.status}")
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:SHOWN]


def _date(reply: Received) -> datetime:
    """Read Cobalt's clock; use ours if the header is missing or broken."""
    return _read_date(reply.headers.get("date", "")) or datetime.now(UTC)


def _read_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # no date; a year that no machine can count to
        return None
    if date.year not in PLAUSIBLE_YEARS:
        return None
    return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)


def _retry_after(reply: Received) -> timedelta | None:
    """Read ``Retry-After`` in either of its forms, seconds or a date; None where there is none that can be read."""
    text = reply.headers.get("retry-after", "")
    date = _read_date(text)
    if date is not None:
        return max(timedelta(0), min(date - _date(reply), TOO_MANY))
    try:
        seconds = int(text)
    except ValueError:
        return None
    return timedelta(seconds=max(0, min(seconds, TOO_MANY.total_seconds())))
