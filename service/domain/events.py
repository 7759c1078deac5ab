"""Owns the reading of Cobalt's event envelope: from bytes that Cobalt signed to our words."""

import json
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from service.domain.event_bodies import Unreadable, read_body
from service.domain.failures import Category, classify
from service.domain.minimum import names_twice, reduce_event
from service.domain.published_names import DATA, ENVELOPE, as_envelope
from service.domain.times import occurred_at, read_written


class Kind(StrEnum):
    """How an event settles a request."""

    CREATED = "created"
    FAILED = "failed"


KINDS = {"appointment.created": Kind.CREATED, "appointment.failed": Kind.FAILED}
"""The event types that settle a request [S]. Cobalt sends others to the same URL [P]; they are recorded and ignored."""


class Confirmation(NamedTuple):
    """What Cobalt booked.

    `date_time` is Cobalt's text as it came: local without offset [S], or with `Z` or an offset [P].
    `timezone` is the zone in Cobalt's words, an IANA name [S]. `start` is the text read, aware if it has an
    offset; None when it cannot be read.
    """

    date_time: str
    timezone: str | None
    start: datetime | None
    provider_id: str | None
    provider_name: str | None
    secondary_provider_id: str | None


class Failure(NamedTuple):
    """Why Cobalt could not book: `reason` in Cobalt's words, `details` the other fields of `data`."""

    category: Category
    reason: str
    details: dict[str, Any]


class Event(NamedTuple):
    """One event in our words.

    `kind` is None for a type that settles nothing. `occurred_at` is the envelope's `created` in UTC, or the
    time of receipt where there is no plausible one: none, one of an impossible year, or one that was not yet.
    `payload` is what may be kept of the body, storable as PostgreSQL's jsonb, and `is_whole` tells whether that is all
    of it; `raw` is the exact bytes, only where they may be kept and the payload could not keep all they said.
    """

    id: str
    type: str
    kind: Kind | None
    occurred_at: datetime
    account_reference: str | None
    cobalt_appointment_id: str | None
    cobalt_job_id: str | None
    mrn: str | None
    confirmation: Confirmation | None
    failure: Failure | None
    payload: dict[str, Any]
    raw: bytes | None
    is_whole: bool = True


def read_event(raw: bytes, *, received_at: datetime) -> Event:
    """Read the body of a webhook, in any documented shape ([S]; [P] adds `job_id`, and EHR sync has other names).

    `received_at` (aware, UTC) stands in for a missing or implausible `created`.

    Raises:
        Unreadable: not a JSON object in UTF-8, far more values than any event has, no `id` or `type`, or a
            settling type without its appointment.
    """
    body, faithful = read_body(raw)
    payload = reduce_event(as_envelope(body))
    is_whole = payload == body and (faithful or not names_twice(raw))
    event = _event(payload, raw=None if faithful or not is_whole else raw, received_at=received_at)
    return event if is_whole else event._replace(is_whole=False)


def event_from(payload: dict[str, Any], *, received_at: datetime) -> Event:
    """Read a row of `GET /webhook-events`, in any published shape [P], or an event that was recorded.

    It is written as JSON in the shape of a webhook and read like one, so that one reader decides about all. `raw`,
    where needed, is that JSON.

    Raises:
        Unreadable: as `read_event`, or the payload is not JSON.
    """
    try:
        raw = json.dumps(as_envelope(payload)).encode()
    except (TypeError, ValueError, RecursionError):
        raise Unreadable("not JSON values") from None
    return read_event(raw, received_at=received_at)


def _event(payload: dict[str, Any], *, raw: bytes | None, received_at: datetime) -> Event:
    event_type = _id(payload, *ENVELOPE["type"])
    event_id = _id(payload, *ENVELOPE["id"])
    if event_id is None:
        raise Unreadable("id is missing")
    if event_type is None:
        raise Unreadable("type is missing")
    kind = KINDS.get(event_type)
    data = payload.get("data")
    if not isinstance(data, dict):
        if kind:
            raise Unreadable("data is missing" if data is None else "data is not an object")
        data = {}
    appointment_id = _id(data, *_names_of_appointment(event_type), within="data.")
    if kind and appointment_id is None:
        raise Unreadable("data.appointment_id is missing")
    return Event(
        id=event_id,
        type=event_type,
        kind=kind,
        occurred_at=_occurred_at(payload, received_at),
        account_reference=_id(payload, "access_token_reference_id"),
        cobalt_appointment_id=appointment_id,
        cobalt_job_id=_id(payload, "job_id") or _id(data, "job_id", within="data."),
        mrn=_id(data, *DATA["mrn"], within="data."),
        confirmation=_confirmation(data) if kind is Kind.CREATED else None,
        failure=_failure(data) if kind is Kind.FAILED else None,
        payload=payload,
        raw=raw,
    )


_LIVE_FETCH = "appointment.live_fetch_completed"


def _names_of_appointment(event_type: str) -> tuple[str, ...]:
    """Say where an event of a type has its appointment's id; `data.id` of others is a patient's, or a note's."""
    is_of_one = event_type.startswith("appointment.") and event_type != _LIVE_FETCH
    return DATA["appointment_id"] if is_of_one else DATA["appointment_id"][:1]


CLOCK_SKEW = timedelta(minutes=5)
"""How far Cobalt's clock may be ahead of ours: what Kerberos allows, far more than two synchronised clocks differ."""


def _occurred_at(payload: dict[str, Any], received_at: datetime) -> datetime:
    """Return when it happened. Nothing is told before it happens, and a failure from 2099 would be the latest for ever.

    By the time of receipt and not by now, so that an event which is judged again is judged as before.
    """
    said = next((at for name in ENVELOPE["created"] if (at := occurred_at(payload.get(name)))), None)
    return received_at if said is None or said > received_at + CLOCK_SKEW else said


def _confirmation(data: dict[str, Any]) -> Confirmation:
    date_time = next((text for name in DATA["date_time"] if (text := _text(data.get(name)))), "")
    zone_name = _text(data.get("timezone")).strip() or None
    return Confirmation(
        date_time=date_time,
        timezone=zone_name,
        start=read_written(date_time),
        provider_id=_id(data, *DATA["provider_id"], within="data."),
        provider_name=_text(data.get("provider_name")).strip() or None,
        secondary_provider_id=_id(data, "secondary_provider_id", within="data."),
    )


_NOT_DETAILS = {"appointment_id", "mrn", "failure_reason"}


def _failure(data: dict[str, Any]) -> Failure:
    reason = _text(data.get("failure_reason"))
    details = {key: value for key, value in data.items() if key not in _NOT_DETAILS}
    return Failure(category=classify(reason, details), reason=reason, details=details)


_LONGEST_ID = 200  # Cobalt's are below 40; an index entry must stay below a third of PostgreSQL's 8 kB page


def _id(fields: dict[str, Any], *names: str, within: str = "") -> str | None:
    """Return an id as text, under the first name that has one: trimmed, a number written as JavaScript would.

    Blank and other types are none.
    """
    for name in names:
        text = _as_id(fields.get(name))
        if len(text) > _LONGEST_ID:
            raise Unreadable(f"{within}{name} is longer than {_LONGEST_ID} characters")
        if text:
            return text
    return None


def _as_id(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _text(value: object) -> str:
    """Return a text as it is, nothing as an empty text, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
