"""Cobalt's create fields: which there are, and which start they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timezone
from typing import TYPE_CHECKING, Any

from service.domain.times import LIKE_RFC_3339, never_comes, read_instant
from service.domain.zones import find_zone
from service.errors import InvalidFieldsError

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = (
    "mrn",
    "location",
    "date",
    "time",
    "datetime",
    "provider",
    "secondary_provider",
    "type",
    "note",
    # The rest is in Cobalt's later documentation only.
    "reason",
    "new_patient",
    "prevent_double_booking",
    "duration",
)

START = frozenset({"date", "time", "datetime"})
"""Together they are one thing: the start."""

_TIME = re.compile(r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})\s*(?P<half>[ap]\.?m\.?)?", re.IGNORECASE | re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
HALF_DAY = 12


@dataclass(frozen=True, slots=True)
class Start:
    """When an appointment is asked to begin.

    Args:
        local: On the clinic's wall clock, without a zone.
        at: The instant in UTC, where the caller gave an offset.
    """

    local: datetime
    at: datetime | None


def read_start(request: Mapping[str, Any]) -> Start:
    """Read the start that a request asks for, from ``datetime`` or from ``date`` and ``time``.

    Formats, from Cobalt's documentation: ``date`` is YYYY-MM-DD; ``time`` is ``10:00`` in the older pages and
    ``h:mm am/pm`` in the later; ``datetime`` is RFC 3339.

    Raises:
        ValueError: The named field cannot be read; ``args`` are the field's name and the fix.
    """
    if request.get("datetime") is not None:
        return _read_datetime(request["datetime"])
    if not _DATE.fullmatch(request["date"]):
        raise ValueError("date", "must be a date like 2025-01-31")
    found = _TIME.fullmatch(request["time"].strip())
    if not found:
        raise ValueError("time", "must be a time like 10:00 or 10:00 am")
    hour, half = int(found["hour"]), (found["half"] or "").lower()[:1]
    if half and not 1 <= hour <= HALF_DAY:
        raise ValueError("time", "must have an hour from 1 to 12 before am or pm")
    if half:
        hour = hour % HALF_DAY + (HALF_DAY if half == "p" else 0)
    try:
        day = datetime.fromisoformat(request["date"])
    except ValueError as error:
        raise ValueError("date", "must be a day that exists, like 2025-01-31") from error
    try:
        return Start(day.replace(hour=hour, minute=int(found["minute"])), None)
    except ValueError as error:
        raise ValueError("time", "must be a time that exists, like 10:00") from error


def _read_datetime(text: str) -> Start:
    try:
        start = read_instant(text)
        return Start(start.replace(tzinfo=None), start.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise ValueError("datetime", f"must be {LIKE_RFC_3339}") from error


def refuse_skipped(start: Start, zone_name: str | None) -> None:
    """Refuse a start on the wall that clocks skip in this zone: whoever books it would have to choose another.

    Raises:
        InvalidFieldsError: There is no such time on that day.
    """
    zone = find_zone(zone_name)
    if zone is None or start.at is not None or not never_comes(start.local, zone):
        return
    raise InvalidFieldsError(
        {"/time": f"On {start.local:%Y-%m-%d} there is no {start.local:%H:%M} in {zone}: clocks go forward over it."}
    )


def read_taken(text: str) -> datetime:
    """Read a ``datetime`` that was taken once, aware: whatever forms were allowed then."""
    return datetime.fromisoformat(text.upper())


def start_of(local: datetime | None, at: datetime | None) -> datetime | None:
    """Return the start of a request: aware with the offset that it was given, else on the clinic's wall clock.

    Args:
        local: On the wall clock, as ``Start.local``.
        at: As ``Start.at``.
    """
    if local is None or at is None:
        return local or at
    return local.replace(tzinfo=timezone(local - at.astimezone(UTC).replace(tzinfo=None)))


def as_sent(request: Mapping[str, Any], time_format: str, zone_name: str | None) -> dict[str, Any]:
    """Make the body that goes to Cobalt: the caller's fields, with times as the account is set to be sent them.

    Args:
        request: The fields as the caller gave them; those that are null are left out.
        time_format: ``as_given`` changes nothing; ``12_hour`` sends ``time`` as ``h:mm am``, which Cobalt's
            later documentation demands; ``datetime`` joins ``date`` and ``time`` to one field with the offset
            of the account's time zone. What the caller gave as ``datetime`` is never touched.
        zone_name: The account's IANA time zone.
    """
    body = {name: value for name, value in request.items() if value is not None}
    if time_format == "as_given" or "datetime" in body or not {"date", "time"} <= body.keys():
        return body
    local, zone = read_start(body).local, find_zone(zone_name)
    # A time that clocks skip has no offset: it is for Cobalt to refuse, and not for us to send another one.
    if time_format == "12_hour" or zone is None or never_comes(local, zone):
        half = "am" if local.hour < HALF_DAY else "pm"
        return body | {"time": f"{(local.hour - 1) % HALF_DAY + 1}:{local.minute:02} {half}"}
    del body["date"], body["time"]
    return body | {"datetime": local.replace(tzinfo=zone).isoformat()}


def changed_fields(body: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a correction has to tell Cobalt: fields that differ from what it has taken; null for a removed one.

    A start in another form takes the place of the old one [P]: nothing of it is removed.
    """
    removed = dict.fromkeys(name for name in taken if name not in body and name not in START)
    return removed | {name: value for name, value in body.items() if taken.get(name) != value}


def in_doubt(taken: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Say what Cobalt has when nobody knows whether it took a correction.

    Fields of which that cannot be said are there with an empty text, which no field can be: whatever the next
    correction wants, it differs. A start in doubt is left out, for as a text it must be readable.
    """
    doubtful = {name for name in {*taken, *sent} if taken.get(name) != sent.get(name)}
    if doubtful & START:
        doubtful |= START
    known = {name: value for name, value in taken.items() if name not in doubtful}
    return known | dict.fromkeys(sorted(doubtful - START), "")
