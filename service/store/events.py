"""Queries on events and their deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from psycopg.types.json import Json
from sqlalchemy import bindparam, select, update

from service.db import driver
from service.models import Event as EventRow
from service.store.quarantine import Unread

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from psycopg import Cursor
    from sqlalchemy.orm import Session

    from service.events import Event
    from service.states import Disposition


class Source(StrEnum):
    """How an event came to us."""

    WEBHOOK = "webhook"
    POLL = "poll"
    SPOOL = "spool"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One delivery of something authentic.

    Args:
        said: What Cobalt said, or bytes of its that could not be read.
        source: How it came.
        received_at: When, on our clock.
        request_id: Of the HTTP request that brought it.
    """

    said: Event | Unread
    source: Source
    received_at: datetime
    request_id: str | None = None

    @property
    def event(self) -> Event:
        """What Cobalt said, where it could be read."""
        if isinstance(self.said, Unread):
            raise TypeError("this could not be read")
        return self.said


# Whoever is about to match events with a Cobalt id, or to make an id known, holds this lock on it first. So of
# an event and the reply to the create call, which race, the second always sees what the first wrote.
_LOCK_IDS = """
SELECT pg_advisory_xact_lock(key)
FROM (SELECT DISTINCT hashtextextended(id, 0) AS key FROM unnest(%(ids)s::text[]) AS id ORDER BY key) AS keys
"""

# One JSON document for a batch: PostgreSQL takes it apart faster than a driver can write arrays of JSON.
_INSERT = """
INSERT INTO events (id, type, disposition, appointment_id, account_reference, cobalt_appointment_id, mrn,
                    occurred_at, received_at, source, payload, raw)
SELECT id, type, disposition, appointment_id, account_reference, cobalt_appointment_id, mrn, occurred_at,
       received_at, source, payload, raw
FROM json_to_recordset(%s) AS new(
  id text, type text, disposition text, appointment_id text, account_reference text, cobalt_appointment_id text,
  mrn text, occurred_at timestamptz, received_at timestamptz, source text, payload jsonb, raw bytea)
"""

_DELIVER = """
INSERT INTO deliveries (event_id, received_at, source, disposition, request_id)
SELECT event_id, received_at, source, disposition, request_id
FROM json_to_recordset(%s) AS new(
  event_id text, received_at timestamptz, source text, disposition text, request_id text)
"""


def lock_ids(session: Session, ids: Collection[str]) -> None:
    """Hold ids of Cobalt's, in a fixed order, until the transaction ends."""
    if ids:
        driver(session).execute(_LOCK_IDS, {"ids": list(ids)})


def select_known_ids(session: Session, event_ids: Collection[str]) -> Cursor[tuple[str]]:
    """Select which of these events are recorded already; the answer is there when the pipeline ends."""
    return driver(session).execute("SELECT id FROM events WHERE id = ANY(%s)", [list(event_ids)])


def record(
    session: Session,
    arrivals: Sequence[Arrival],
    dispositions: Mapping[str, Disposition],
    appointment_ids: Mapping[str, str],
) -> None:
    """Record new events with what became of them; raises an IntegrityError when one became known meanwhile."""
    if not arrivals:
        return
    rows = [
        {
            "id": event.id,
            "type": event.type,
            "disposition": dispositions[event.id],
            "appointment_id": appointment_ids.get(event.id),
            "account_reference": event.account_reference,
            "cobalt_appointment_id": event.cobalt_appointment_id,
            "mrn": event.mrn,
            "occurred_at": event.occurred_at.isoformat(),
            "received_at": arrival.received_at.isoformat(),
            "source": arrival.source,
            "payload": event.payload,
            "raw": None if event.raw is None else f"\\x{event.raw.hex()}",
        }
        for arrival in arrivals
        if (event := arrival.event)
    ]
    driver(session).execute(_INSERT, [Json(rows)])


def record_deliveries(session: Session, answers: Sequence[tuple[Arrival, Disposition]]) -> None:
    """Record that these events arrived and what was answered."""
    rows = [
        {
            "event_id": arrival.event.id,
            "received_at": arrival.received_at.isoformat(),
            "source": arrival.source,
            "disposition": disposition,
            "request_id": arrival.request_id,
        }
        for arrival, disposition in answers
    ]
    driver(session).execute(_DELIVER, [Json(rows)])


def find_waiting(session: Session, cobalt_id: str) -> Sequence[EventRow]:
    """Find the events that wait for this Cobalt id, or for its current attempt, to become known."""
    return session.scalars(
        select(EventRow)
        .where(EventRow.cobalt_appointment_id == cobalt_id, EventRow.disposition == "unmatched")
        .order_by(EventRow.id)
    ).all()


def change_dispositions(
    session: Session, dispositions: Mapping[str, Disposition], appointment_id: str | None = None
) -> None:
    """Note that something else became of recorded events than was thought at first.

    Args:
        dispositions: Event id -> what became of it.
        appointment_id: The appointment that they turned out to belong to, if that is new.
    """
    if not dispositions:
        return
    values: dict[str, object] = {"disposition": bindparam("new_disposition")}
    if appointment_id is not None:
        values["appointment_id"] = appointment_id
    session.connection().execute(
        update(EventRow).where(EventRow.id == bindparam("event_id")).values(values),
        [
            {"event_id": event_id, "new_disposition": disposition.value}
            for event_id, disposition in dispositions.items()
        ],
    )


def supersede(session: Session, event_ids: Collection[str]) -> None:
    """Note that these events no longer decide anything."""
    if event_ids:
        driver(session).execute("UPDATE events SET disposition = 'superseded' WHERE id = ANY(%s)", [list(event_ids)])
