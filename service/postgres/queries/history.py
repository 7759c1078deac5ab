"""Everything that is known of one appointment: who asked, what was called, what Cobalt said, what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, or_, select

from service.domain.submission import CallOutcome
from service.errors import NotFoundError
from service.postgres.models import Appointment, Call, Correction, Decision, Delivery, Event
from service.postgres.queries import account_health
from service.postgres.queries.appointments import find_names

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from service.domain.account_health import Standing


@dataclass(frozen=True, slots=True)
class History:
    """Everything that happened to one appointment, each kind in the order of its own numbers.

    Args:
        events: Those that belong to it, those about its id at Cobalt that settle nothing, and those about an id that
            Cobalt gave it too late.
        foreign: Ids of those among them that are of another account.
        deliveries: Of these events.
        account: Where its account stands now.
    """

    appointment: Appointment
    corrections: Sequence[Correction]
    submissions: Sequence[Call]
    decisions: Sequence[Decision]
    events: Sequence[Event]
    foreign: Collection[str]
    deliveries: Sequence[Delivery]
    account: Standing


def get_history(session: Session, appointment_id: str) -> History:
    """Get everything that happened to one appointment.

    Raises:
        NotFoundError: There is none with this id.
    """
    row = session.get(Appointment, appointment_id)
    if row is None:
        raise NotFoundError("there is no appointment with this id")
    calls = session.scalars(select(Call).where(Call.appointment_id == row.id).order_by(Call.attempt, Call.try_)).all()
    late = [one.cobalt_appointment_id for one in calls if one.outcome == CallOutcome.ACCEPTED_LATE]
    events = session.scalars(select(Event).where(_about(row, late)).order_by(Event.received_at, Event.id)).all()
    return History(
        row,
        session.scalars(
            select(Correction).where(Correction.appointment_id == row.id).order_by(Correction.attempt)
        ).all(),
        calls,
        session.scalars(select(Decision).where(Decision.appointment_id == row.id).order_by(Decision.id)).all(),
        events,
        _find_foreign(session, row, events),
        session.scalars(
            select(Delivery)
            .where(Delivery.event_id.in_([event.id for event in events]))
            .order_by(Delivery.received_at, Delivery.id)
        ).all(),
        account_health.find(session, row.account),
    )


def _find_foreign(session: Session, row: Appointment, events: Sequence[Event]) -> Collection[str]:
    named = find_names(session, row.account)
    unowned = [event for event in events if event.appointment_id is None and event.account_reference is not None]
    return {event.id for event in unowned if (row.account, event.account_reference) not in named}


def _about(row: Appointment, late: Sequence[str | None]) -> ColumnElement[bool]:
    """Select what belongs to an appointment, and nobody's events about its id at Cobalt or one that it had late."""
    nobodys = [and_(Event.cobalt_appointment_id == cobalt_id, Event.appointment_id.is_(None)) for cobalt_id in late]
    if row.cobalt_appointment_id is not None:
        nobodys.append(
            and_(
                Event.appointment_id.is_(None),
                Event.cobalt_appointment_id == row.cobalt_appointment_id,
                or_(Event.disposition == "ignored", Event.of_another_account.is_(True)),
            )
        )
    return or_(Event.appointment_id == row.id, *nobodys)
