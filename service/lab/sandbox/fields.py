"""What a caller asks for: the attributes of an appointment, read and checked."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

from service.lab.sandbox.settings import TIMEZONE

ALWAYS_REQUIRED = ("mrn", "location", "provider", "type")
OPTIONAL = ("secondary_provider", "note", "reason", "new_patient", "prevent_double_booking", "duration")
ATTRIBUTES = (*ALWAYS_REQUIRED, "date", "time", "datetime", *OPTIONAL)

DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
CLOCK_24 = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
CLOCK_12 = re.compile(r"(\d{1,2}):(\d{2}) ?([ap]m)", re.ASCII | re.IGNORECASE)
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?([+-]\d{2}:\d{2}|Z)", re.ASCII)


class RefusedError(Exception):
    """Cobalt says no: `status`, the `message` of the reply, and when to come again, in seconds."""

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


def read_attributes(body: object) -> dict[str, str]:
    """The attributes in a request's body, all strings; what Cobalt does not know is left out.

    Raises:
        RefusedError: 400, when the body is no object or an attribute is no string.
    """
    if not isinstance(body, Mapping):
        raise RefusedError(400, "The request body must be a JSON object")
    fields = {}
    for name in ATTRIBUTES:
        if name not in body:
            continue
        if not isinstance(body[name], str):
            raise RefusedError(400, f"{name} must be a string")
        fields[name] = body[name]
    return fields


def corrected(fields: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """The attributes after a PATCH: a new `datetime` replaces date and time, and the other way round."""
    kept = dict(fields)
    if "datetime" in changes:
        kept.pop("date", None)
        kept.pop("time", None)
    elif "date" in changes or "time" in changes:
        kept.pop("datetime", None)
    return {**kept, **changes}


def check(fields: Mapping[str, str], *, strict_time: bool) -> datetime:
    """When the appointment starts, in the clinic's time zone, if everything about it is in order.

    Raises:
        RefusedError: 400, naming the first attribute at fault.
    """
    timing = ("datetime",) if "datetime" in fields else ("date", "time")
    for name in (*ALWAYS_REQUIRED, *timing):
        if not fields.get(name, "").strip():
            raise RefusedError(400, f"{name} is required")
    for name in ("new_patient", "prevent_double_booking"):
        if fields.get(name, "true") not in {"true", "false"}:
            raise RefusedError(400, f'{name} must be "true" or "false"')
    if not re.fullmatch(r"[0-9]+", fields.get("duration", "0")):
        raise RefusedError(400, "duration must be a number of minutes")
    if "datetime" in fields:
        if "date" in fields or "time" in fields:
            raise RefusedError(400, "Give either datetime, or date and time")
        return _instant(fields["datetime"])
    return _local(fields["date"], fields["time"], strict_time=strict_time)


def read_date(name: str, text: str) -> date:
    """A date, `YYYY-MM-DD`.

    Raises:
        RefusedError: 400.
    """
    if DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise RefusedError(400, f"{name} must be a date, YYYY-MM-DD")


def _instant(text: str) -> datetime:
    if INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(TIMEZONE)
        except (ValueError, OverflowError):
            pass
    raise RefusedError(400, "datetime must be ISO 8601 with an offset, YYYY-MM-DDTHH:mm:ss±HH:MM")


def _local(day: str, time: str, *, strict_time: bool) -> datetime:
    on = read_date("date", day)
    refusal = RefusedError(400, "time must be in 12-hour format, h:mm am/pm")
    hour, minute = 24, 0
    if twelve := CLOCK_12.fullmatch(time):
        if not 1 <= int(twelve[1]) <= 12:  # noqa: PLR2004 - the hours of a clock
            raise refusal
        hour, minute = int(twelve[1]) % 12 + 12 * (twelve[3].lower() == "pm"), int(twelve[2])
    elif (plain := CLOCK_24.fullmatch(time)) and not strict_time:
        hour, minute = int(plain[1]), int(plain[2])
    try:
        starts_at = datetime(on.year, on.month, on.day, hour, minute, tzinfo=TIMEZONE)
        starts_at.astimezone(UTC)  # the last evening of the year 9999 has no UTC
    except (ValueError, OverflowError):
        raise refusal from None
    return starts_at
