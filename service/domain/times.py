"""Owns the reading of times: a caller's by RFC 3339, and Cobalt's in every form that carelessness gives them."""

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from service.domain.comparing import comparable

# Read by Python itself, ten times as fast as the other forms; newer ones take 24:00 for the next day.
_USUAL = re.compile(r"\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d(?::\d\d(?:\.\d{3})?)?Z?", re.ASCII)
_STAMP = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[Tt\s]\s{0,3}"
    r"(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s{0,3}"
    r"(?:([AaPp])\.?[Mm]\.?)?\s{0,3}"
    r"(?:([Zz]|UTC|GMT)|([+-]\d\d?)(?::?(\d\d))?)?",
    re.ASCII,
)
_EPOCH = re.compile(r"\d{9,13}(?:\.\d+)?", re.ASCII)
FIRST_YEAR, LAST_YEAR = 2000, 2199
"""The years that a time which is kept may be in. Outside of them are clocks that were not set, and sentinels of other
systems such as 9999-12-31, which another time zone moves out of the range of datetime."""
_FIRST_SECOND = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp()
_END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp()


_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
LIKE_RFC_3339 = "a time with its offset, like 2025-01-15T10:00:00-05:00"
"""What ``read_instant`` takes, for an error."""


def read_instant(text: str) -> datetime:
    """Read a time of a caller's, aware: RFC 3339, of which the seconds may be left out.

    Raises:
        ValueError: It is anything else, also what else ISO 8601 knows: weeks, days of the year, hours alone.
    """
    if not _RFC_3339.fullmatch(text):
        raise ValueError("not RFC 3339")
    return datetime.fromisoformat(text.upper())


def is_plausible(moment: datetime) -> bool:
    """Tell whether a time, aware or on a wall clock, is in a year that an appointment or an event can be in.

    It can then be kept: any zone may be applied to it, and a day be added to it or taken from it.
    """
    return FIRST_YEAR <= moment.year <= LAST_YEAR


def read_written(text: str) -> datetime | None:
    """Read a date with a time of day as Cobalt writes it: aware if it has an offset, else naive; None for other texts.

    Offsets may lack a digit: `-7:00` [P].
    """
    if _USUAL.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return None
    match = _STAMP.fullmatch(comparable(text))
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, half, utc, off_hours, off_minutes = match.groups()
    zone: timezone | None = UTC if utc else None
    try:
        if off_hours:
            minutes = int(off_hours[0] + (off_minutes or "0"))  # -05:30 is five and a half hours behind
            zone = timezone(timedelta(hours=int(off_hours), minutes=minutes))
        return datetime(
            int(year),
            int(month),
            int(day),
            _hour(int(hour), half),
            int(minute),
            int(second or 0),
            int(fraction[:6].ljust(6, "0")) if fraction else 0,
            zone,
        )
    except ValueError:
        return None


def _hour(hour: int, half: str | None) -> int:
    """Return the hour of the day; `half` is the a or p of a 12-hour clock."""
    if half is None:
        return hour
    if not 1 <= hour <= 12:  # noqa: PLR2004 - the clock's face
        raise ValueError("not an hour of a 12-hour clock")
    return hour % 12 + (12 if half in "Pp" else 0)


def occurred_at(created: object) -> datetime | None:
    """Read `created`: ISO 8601 with Z [S]; also other offsets, none (UTC), epoch seconds or milliseconds."""
    if isinstance(created, str):
        moment = read_written(created)
        if moment is None:
            text = comparable(created)
            return _from_epoch(float(text)) if _EPOCH.fullmatch(text) else None
        if not is_plausible(moment):
            return None
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _from_epoch(created) if isinstance(created, int | float) else None


def _from_epoch(number: float) -> datetime | None:
    if _FIRST_SECOND <= number < _END:
        return datetime.fromtimestamp(number, UTC)
    if _FIRST_SECOND * 1000 <= number < _END * 1000:
        return datetime.fromtimestamp(number / 1000, UTC)
    return None


def first_instant(moment: datetime, zone: ZoneInfo | None) -> datetime | None:
    """Return the instant, in UTC, that a time is, the first one of an hour that comes twice; None without a zone.

    A time that clocks skip is read as if they had not gone forward yet: 02:30 on that day in New York is 07:30 UTC.
    """
    if moment.tzinfo is None:
        if zone is None:
            return None
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # in the first or last hours that datetime knows
        return None


def instants(moment: datetime, zone: ZoneInfo | None) -> tuple[datetime, ...]:
    """Return all instants that a time can be: as ``first_instant``, and two where clocks go back."""
    first = first_instant(moment, zone)
    if first is None:
        return ()
    if moment.tzinfo is None and _ahead(moment.replace(tzinfo=zone)) > _ahead(moment.replace(tzinfo=zone, fold=1)):
        return first, moment.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return (first,)


def never_comes(local: datetime, zone: ZoneInfo) -> bool:
    """Tell whether clocks are put forward over a time on the wall."""
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    return _ahead(first) < _ahead(second)


def _ahead(moment: datetime) -> timedelta:
    """Return how far the clock is ahead of UTC."""
    return moment.utcoffset() or timedelta()
