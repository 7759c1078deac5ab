"""The one door: every event goes through ``apply``, however it came."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from psycopg.errors import UniqueViolation
from sqlalchemy.exc import IntegrityError

from service.db import driver, transaction
from service.states import Disposition, Status
from service.store import appointments, asking, events, quarantine
from service.store.quarantine import Unread
from service.usecases.match_waiting import match_waiting
from service.usecases.settling import settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.store.appointments import Locked
    from service.store.events import Arrival


def apply(engine: Engine, arrivals: Sequence[Arrival]) -> list[Disposition]:
    """Record a batch of events, settle the appointments that they name, and say what became of each.

    All in one transaction, so a batch is applied whole or not at all. Any event may come any number of times.

    Raises:
        DatabaseUnavailableError: PostgreSQL is away; nothing was kept.
    """
    try:
        with transaction(engine) as session:
            return apply_within(session, arrivals, now=datetime.now(UTC))
    except (IntegrityError, UniqueViolation):
        # The same event came through another process meanwhile, about another appointment: it is known now.
        with transaction(engine) as session:
            return apply_within(session, arrivals, now=datetime.now(UTC))


def apply_within(session: Session, arrivals: Sequence[Arrival], *, now: datetime) -> list[Disposition]:
    """Do what ``apply`` does inside the caller's transaction."""
    unread = [arrival for arrival in arrivals if isinstance(arrival.said, Unread)]
    quarantine.keep(session, unread)
    readable = [arrival for arrival in arrivals if not isinstance(arrival.said, Unread)]
    answers = iter(_apply_events(session, readable, now) if readable else [])
    return [Disposition.QUARANTINED if isinstance(arrival.said, Unread) else next(answers) for arrival in arrivals]


def _apply_events(session: Session, arrivals: Sequence[Arrival], now: datetime) -> list[Disposition]:
    new = {arrival.event.id: arrival for arrival in reversed(arrivals)}
    settling = {
        arrival.event.cobalt_appointment_id
        for arrival in new.values()
        if arrival.event.kind and arrival.event.cobalt_appointment_id
    }
    # What settles nothing has its own id locked: two batches that bring the same in different orders would
    # otherwise wait for each other when they record it.
    ids = settling | {arrival.event.id for arrival in new.values() if not arrival.event.kind}
    with driver(session).pipeline():
        events.lock_ids(session, ids)
        known = events.select_known_ids(session, new)
        locked = appointments.select_by_cobalt_ids(session, settling)
    for (event_id,) in known:
        del new[event_id]
    rows = appointments.read_locked(locked)
    dispositions, displaced = _judge(list(new.values()), rows, now)
    answers = [_answer(arrival, new, dispositions) for arrival in arrivals]
    with driver(session).pipeline():
        events.record(
            session,
            list(new.values()),
            dispositions,
            {
                event_id: rows[cobalt_id].id
                for event_id, arrival in new.items()
                if arrival.event.kind and (cobalt_id := arrival.event.cobalt_appointment_id) in rows
            },
        )
        events.supersede(session, displaced)
        appointments.write_outcomes(session, rows.values(), now=now)
        events.record_deliveries(session, list(zip(arrivals, answers, strict=True)))
    _hurry(session, new.values(), dispositions, now)
    for cobalt_id, row in rows.items():
        if row.changed and row.standing.status is Status.CREATED and row.standing.since is None:
            # A correction that waited to be sent is not needed any more: what waited for it can be judged.
            match_waiting(session, cobalt_id, now=now)
    return answers


def _judge(
    arrivals: Sequence[Arrival], rows: Mapping[str, Locked], now: datetime
) -> tuple[dict[str, Disposition], list[str]]:
    """Settle the rows by the new events.

    Returns:
        What became of each event of this batch, and the ids of earlier events that no longer decide.
    """
    dispositions: dict[str, Disposition] = {}
    displaced: list[str] = []
    for arrival in arrivals:
        event = arrival.event
        if event.kind is None:
            dispositions[event.id] = Disposition.IGNORED
            continue
        row = rows.get(event.cobalt_appointment_id or "")
        if row is None:
            dispositions[event.id] = Disposition.UNMATCHED
            continue
        decision = settle(row, event, now=now)
        dispositions[event.id] = decision.disposition
        if decision.superseded in dispositions:
            dispositions[decision.superseded] = Disposition.SUPERSEDED
        elif decision.superseded:
            displaced.append(decision.superseded)
    return dispositions, displaced


def _hurry(
    session: Session, arrivals: Iterable[Arrival], dispositions: Mapping[str, Disposition], now: datetime
) -> None:
    """An event that nobody knows may be what an unconfirmed submission waits for."""
    mrns = {
        arrival.event.mrn
        for arrival in arrivals
        if arrival.event.mrn and dispositions[arrival.event.id] is Disposition.UNMATCHED
    }
    if mrns:
        asking.hurry(session, mrns, now=now)


def _answer(arrival: Arrival, new: Mapping[str, Arrival], dispositions: Mapping[str, Disposition]) -> Disposition:
    """Say what became of a delivery: of an event that came twice in one batch, the first is the new one."""
    if new.get(arrival.event.id) is arrival:
        return dispositions[arrival.event.id]
    return Disposition.DUPLICATE
