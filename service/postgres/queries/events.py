"""Queries on events and their deliveries."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, text, update

from service.domain.event_bodies import Unreadable
from service.domain.events import KINDS, Event, Kind, event_from
from service.domain.states import Status
from service.postgres.engine import driver
from service.postgres.models import Appointment
from service.postgres.models import Event as EventRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from service.domain.states import Disposition
    from service.postgres.queries.appointments import Locked


# Whoever is about to match events with a Cobalt id, or to make an id known, holds this lock on it first. So of
# an event and the reply to the create call, which race, the second always sees what the first wrote.
LOCK_IDS = """
SELECT pg_advisory_xact_lock(key)
FROM (SELECT DISTINCT hashtextextended(id, 0) AS key FROM {ids} AS id ORDER BY key) AS keys
"""
_LOCK_IDS = text(LOCK_IDS.format(ids="unnest(CAST(:ids AS text[]))"))


def lock_ids(session: Session, ids: Collection[str]) -> None:
    """Hold ids of Cobalt's, in a fixed order, until the transaction ends."""
    if ids:
        session.execute(_LOCK_IDS, {"ids": list(ids)})


def find_known_events(session: Session, ids: Collection[str]) -> Sequence[str]:
    """Find which of these events are recorded already."""
    return session.scalars(select(EventRow.id).where(EventRow.id.in_(ids))).all()


def find_waiting(session: Session, cobalt_id: str) -> Sequence[EventRow]:
    """Find the events that wait for this Cobalt id, or for its current attempt, to become known."""
    return session.scalars(
        select(EventRow)
        .where(EventRow.cobalt_appointment_id == cobalt_id, EventRow.disposition == "unmatched")
        .order_by(EventRow.id)
    ).all()


JUDGED = """
SELECT appointment_id, id, occurred_at, payload::text AS payload FROM events
WHERE appointment_id IN ({appointment_ids}) AND payload <> '{{}}'
  AND (disposition = 'applied' OR disposition = 'superseded' AND repeats IS NULL)
"""
"""Finds the events by which these appointments were judged, as far as retention has left what they say.

Each saying once, and what the status rests on: however often Cobalt repeats itself, there is no more to compare.
"""

_JUDGED = text(JUDGED.format(appointment_ids=":appointment_id"))


def find_judged(session: Session, row: Locked) -> list[Event]:
    """Find the events that one which comes now may tell again; there are none while the attempt has no outcome."""
    if row.standing.status is Status.PROCESSING:
        return []
    found = session.execute(_JUDGED, {"appointment_id": row.id})
    return read_judged((one.id, one.occurred_at, one.payload) for one in found)


def read_judged(found: Iterable[tuple[str, datetime, str]]) -> list[Event]:
    """Read events from id, time and payload; what an older version could read and this one cannot is left out."""
    events = []
    for event_id, occurred_at, payload in found:
        with suppress(Unreadable):
            event = event_from(json.loads(payload), received_at=occurred_at)
            events.append(event._replace(id=event_id, occurred_at=occurred_at))
    return events


def note_repeats(session: Session, repeats: Mapping[str, str]) -> None:
    """Note which events told an outcome again: event id -> the one that had told it."""
    for event_id, repeated in repeats.items():
        session.execute(update(EventRow).where(EventRow.id == event_id).values(repeats=repeated))


def read_recorded(recorded: EventRow) -> Event:
    """Read a recorded event as it was read when it came."""
    event = event_from(recorded.payload, received_at=recorded.received_at)
    return event._replace(
        id=recorded.id,  # jsonb may have written a number in another way
        # What was replayed came before it was recorded. What an older version recorded may be dated in the future.
        occurred_at=min(event.occurred_at, recorded.occurred_at),
    )


# The attempt answers the failure that was corrected, whatever the clocks of several machines say, and those that had
# come before its call; decisions of ours are dated on another clock. What came by asking or by a replay may be older
# than its receipt says.
_EARLY = text("""
SELECT id FROM events WHERE appointment_id = :id AND type = ANY(:failing)
  AND disposition = 'superseded' AND source IN ('webhook', 'spool') AND received_at >= :sent_at
  AND occurred_at > ALL (
    SELECT occurred_at FROM events WHERE appointment_id = :id AND type = ANY(:failing)
      AND received_at < :sent_at
    UNION ALL
    SELECT CAST(before #>> '{failure,occurred_at}' AS timestamptz) FROM corrections WHERE appointment_id = :id
      AND before ->> 'failure_category' NOT IN ('rejected_by_cobalt', 'submission_unconfirmed')
  )
""")


def find_early_failures(session: Session, appointment_id: str, *, sent_at: datetime) -> Sequence[EventRow]:
    """Find failures that Cobalt sent since a call, and dated after all those that the call answers.

    Args:
        session: Which holds the appointment.
        appointment_id: Ours.
        sent_at: When the call began, on our clock.
    """
    failing = [name for name, kind in KINDS.items() if kind is Kind.FAILED]
    ids = session.scalars(_EARLY, {"id": appointment_id, "sent_at": sent_at, "failing": failing}).all()
    return session.scalars(select(EventRow).where(EventRow.id.in_(ids)).order_by(EventRow.id)).all()


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
        values |= {"appointment_id": appointment_id, "of_another_account": None}
    session.connection().execute(
        update(EventRow).where(EventRow.id == bindparam("event_id")).values(values),
        [
            {"event_id": event_id, "new_disposition": disposition.value}
            for event_id, disposition in dispositions.items()
        ],
    )


def find_event(session: Session, event_id: str) -> EventRow | None:
    """Find an event by Cobalt's id."""
    return session.get(EventRow, event_id)


def find_foreign(session: Session, *, account: str, reference: str) -> Sequence[str]:
    """Find ids at Cobalt of an account's appointments with events that wait because they are of this reference."""
    query = (
        select(EventRow.cobalt_appointment_id)
        .join(Appointment, Appointment.cobalt_appointment_id == EventRow.cobalt_appointment_id)
        .where(
            EventRow.of_another_account.is_(True),
            EventRow.disposition == "unmatched",
            EventRow.account_reference == reference,
            Appointment.account == account,
        )
    )
    return sorted({cobalt_id for cobalt_id in session.scalars(query) if cobalt_id})


def note_foreign(session: Session, event_ids: Collection[str]) -> Sequence[str]:
    """Note that waiting events are of another account than the appointment's; returns those of which that is news."""
    if not event_ids:
        return []
    news = EventRow.id.in_(event_ids), EventRow.of_another_account.is_not(True)
    return session.scalars(update(EventRow).where(*news).values(of_another_account=True).returning(EventRow.id)).all()


def supersede(session: Session, event_ids: Collection[str]) -> None:
    """Note that these events no longer decide anything."""
    if event_ids:
        driver(session).execute("UPDATE events SET disposition = 'superseded' WHERE id = ANY(%s)", [list(event_ids)])
