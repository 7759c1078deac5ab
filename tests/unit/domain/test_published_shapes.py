"""Every cell of the table of published shapes is read, and as what it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from service.cobalt.exchange import Received
from service.cobalt.replies import Accepted, Rejected, Unauthorized, read_reply
from service.domain.events import Kind, event_from, read_event
from service.domain.times import first_instant
from service.domain.zones import find_zone
from tests.published_shapes import AT, CAPTURES, CREATED, ERRORS, FAILED, FIELDS, REPLIES, WEBHOOKS, written

if TYPE_CHECKING:
    from service.domain.events import Event

RECEIVED_AT = datetime(2025, 6, 1, tzinfo=UTC)


def read(capture: str, kind: str, **beyond: Any) -> Event:
    event = written(capture, f"appointment.{kind}", FIELDS | beyond)
    if capture in WEBHOOKS:
        return read_event(json.dumps(event).encode(), received_at=RECEIVED_AT)
    return event_from(event, received_at=RECEIVED_AT)


def told(event: Event) -> dict[str, str]:
    """Say of an event what the table names."""
    found: dict[str, Any] = {name: getattr(event, name) for name in FIELDS}
    if event.confirmation:
        confirmed = event.confirmation
        start = confirmed.start and first_instant(confirmed.start, find_zone(confirmed.timezone))
        found |= confirmed._asdict() | {"start": start}
    if event.failure:
        found |= event.failure._asdict()
    found = {name: one.isoformat() if isinstance(one, datetime) else one for name, one in found.items()}
    return found | {"occurred_at": found["occurred_at"].replace("+00:00", "Z")}


CELLS = [
    pytest.param(capture, kind, name, reads, id=f"{capture}-{kind.name.lower()}-{name}")
    for kind, beyond in ((Kind.CREATED, CREATED), (Kind.FAILED, FAILED))
    for name, (reads, cells) in (FIELDS | beyond).items()
    for capture, cell in cells.items()
    if cell is not None and not (kind is Kind.FAILED and capture == "sync")
]


@pytest.mark.parametrize(("capture", "kind", "name", "reads"), CELLS)
def test_every_cell_is_read(capture: str, kind: Kind, name: str, reads: str) -> None:
    event = read(capture, kind, **(CREATED if kind is Kind.CREATED else FAILED))
    assert told(event)[name] == (f"appointment.{kind}" if name == "type" else reads)


def test_the_table_has_a_cell_for_every_capture() -> None:
    assert all(set(cells) == set(CAPTURES) for _, cells in (FIELDS | CREATED | FAILED).values())


@pytest.mark.parametrize("capture", [capture for capture in CAPTURES if capture not in WEBHOOKS])
def test_of_a_row_is_kept_what_a_webhook_would_have_said(capture: str) -> None:
    event = read(capture, Kind.FAILED, **FAILED)
    assert set(event.payload) <= {"id", "type", "created", "access_token_reference_id", "job_id", "object", "data"}
    again = event_from(event.payload, received_at=RECEIVED_AT)
    assert again == event
    assert event.occurred_at == datetime.fromisoformat(AT)


def test_the_id_of_a_patient_or_a_note_is_no_appointments() -> None:
    for kind in ("patient.updated", "note.created", "appointment.live_fetch_completed"):
        event = event_from({"id": "e", "type": kind, "data": {"id": "77"}}, received_at=RECEIVED_AT)
        assert event.cobalt_appointment_id is None


@pytest.mark.parametrize("body", REPLIES.values(), ids=REPLIES)
def test_every_reply_to_a_create_is_read(body: dict[str, Any]) -> None:
    reply = read_reply(Received(200, content=json.dumps(body).encode()))
    assert isinstance(reply, Accepted)
    assert reply.cobalt_appointment_id == "77"
    assert reply.job_id == ("17" if "job_id" in json.dumps(body) else None)


@pytest.mark.parametrize(("status", "body", "words"), ERRORS.values(), ids=ERRORS)
def test_every_error_is_read(status: int, body: dict[str, Any], words: str | None) -> None:
    reply = read_reply(Received(status, content=json.dumps(body).encode()))
    if words is None:
        assert reply == Unauthorized(403, login_required=True)
    else:
        assert isinstance(reply, Rejected)
        assert reply.reason == words
