"""Apply the events that waited for an appointment's id at Cobalt, or for its attempt, to become known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.domain.states import Disposition
from service.postgres.queries import appointments, events
from service.telemetry import metrics
from service.usecases.events.settling import is_of_another_account, relieve, settle, tell_of_another_account

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from service.postgres.models import Event as EventRow
    from service.postgres.queries.appointments import Locked


def match_waiting(session: Session, cobalt_id: str, *, now: datetime) -> int:
    """Settle the appointment that has this id by the events that came too early for it.

    Call it in the transaction that makes the id or the attempt known, which holds the lock on the id.

    Returns:
        How many events found their appointment.
    """
    waiting = events.find_waiting(session, cobalt_id)
    row = appointments.lock_by_cobalt_id(session, cobalt_id)
    if not waiting or row is None:
        return 0
    named = appointments.find_names(session, row.account)
    foreign = [one.id for one in waiting if is_of_another_account(row, events.read_recorded(one), named)]
    for event_id in events.note_foreign(session, foreign):
        tell_of_another_account(event_id, row.id)
    own = [one for one in waiting if one.id not in foreign]
    settle_by(session, row, own, now=now)
    return len(own)


def settle_by(session: Session, row: Locked, recorded: Sequence[EventRow], *, now: datetime) -> None:
    """Settle an appointment by events that were recorded before, and did not decide anything yet.

    Args:
        session: In whose transaction.
        row: Locked.
        recorded: The events.
        now: On our clock.
    """
    dispositions: dict[str, Disposition] = {}
    repeats: dict[str, str] = {}
    row.judged += events.find_judged(session, row)
    for one in recorded:
        decision = settle(row, events.read_recorded(one), source=one.source, now=now)
        dispositions[one.id] = decision.disposition
        if decision.repeats:
            repeats[one.id] = decision.repeats
        if decision.superseded:
            dispositions[decision.superseded] = Disposition.SUPERSEDED
    relieve(row)
    appointments.write_outcomes(session, [row], now=now)
    events.change_dispositions(session, dispositions, appointment_id=row.id)
    events.note_repeats(session, repeats)
    for one in recorded:
        metrics.event_decided(one.source, dispositions[one.id])
