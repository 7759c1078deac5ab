"""Whether two bodies under one event id say the same, and the digest of what they say."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from service.domain.canonical_json import canonical
from service.domain.event_bodies import Unreadable
from service.domain.events import event_from

if TYPE_CHECKING:
    from service.domain.events import Event

_DECIDING = ("type", "access_token_reference_id", "data")


def is_written_alike(event: Event, recorded: dict[str, Any]) -> bool:
    """Tell whether what decides is the same in an event and in a payload, but for the order of names."""
    return all(event.payload.get(name) == recorded.get(name) for name in _DECIDING)


def contradicts(event: Event, recorded: dict[str, Any]) -> bool:
    """Tell whether an event says something else than the one that was recorded under its id.

    What decides is compared: type, account and data. An event that was fetched has another envelope, and is written
    anew; and what one of the two does not say contradicts nothing.

    Args:
        event: As it came now.
        recorded: The payload as it came first; empty where retention has removed it, and nothing can be said.
    """
    if not recorded or is_written_alike(event, recorded):
        return False
    before = read_recorded(event, recorded)
    if before is None:
        return False
    accounts = {event.account_reference, before.account_reference} - {None}
    return len(accounts) > 1 or said(event) != said(before)


def digest(event: Event) -> bytes:
    """Return the SHA-256 of what an event says, however it is written."""
    return hashlib.sha256(said(event) + canonical(json.dumps(event.account_reference).encode())).digest()


def read_recorded(event: Event, recorded: dict[str, Any]) -> Event | None:
    """Read what was recorded under an event's id; None for what an older version could read and this one cannot."""
    try:
        return event_from(recorded, received_at=event.occurred_at)
    except Unreadable:
        return None


def said(event: Event) -> bytes:
    """Write what an event says of what it is about, so that whatever says the same is equal byte for byte."""
    data = event.payload.get("data")
    fields = data if isinstance(data, dict) else {"data": data}
    # An id is the same as a number and as a text.
    ids = {"appointment_id": event.cobalt_appointment_id, "mrn": event.mrn}
    told = {name: value for name, value in (fields | ids).items() if value is not None}
    return canonical(json.dumps([event.type, told]).encode())
