"""Reads of events for those who look for trouble: they lock nothing and change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, literal, or_, select, tuple_
from sqlalchemy.orm import defer

from service.domain.events import KINDS
from service.postgres.models import Appointment, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of a list of events.

    Args:
        rows: Each event with the appointment that it belongs to.
        last: Where the next page begins: time of receipt and id of the last row; None on the last page.
    """

    rows: Sequence[tuple[Event, Appointment | None]]
    last: tuple[datetime, str] | None


def _plain(value: str) -> ColumnElement[str]:
    """Write one of our own words into the statement: a plan that does not know it cannot use the narrow indexes."""
    return literal(value, literal_execute=True)


def _type(name: str) -> ColumnElement[bool]:
    found = Event.type == name
    # What settles nothing is never applied: there is an index of these, and the others need none.
    return found if name in KINDS else and_(found, Event.disposition.in_(map(_plain, _SETTLING_NOTHING)))


_SETTLING_NOTHING = ("ignored", "noted", "superseded")


def _cobalt_appointment_id(cobalt_id: str) -> ColumnElement[bool]:
    owner = select(Appointment.id).where(Appointment.cobalt_appointment_id == cobalt_id).scalar_subquery()
    nobodys = and_(Event.appointment_id.is_(None), Event.cobalt_appointment_id == cobalt_id)
    return or_(Event.appointment_id == owner, nobodys)


def _of_another_account(wanted: bool) -> ColumnElement[bool]:  # noqa: FBT001 (a filter's value)
    if wanted:
        return and_(Event.of_another_account.is_(True), Event.disposition == _plain("unmatched"))
    return or_(Event.of_another_account.is_(None), Event.disposition != _plain("unmatched"))


FILTERS: Mapping[str, Callable[[Any], ColumnElement[bool]]] = {
    "disposition": lambda name: Event.disposition == _plain(name),
    "source": lambda name: Event.source == _plain(name),
    "type": _type,
    "cobalt_appointment_id": _cobalt_appointment_id,
    "appointment_id": Event.appointment_id.__eq__,
    "of_another_account": _of_another_account,
    "received_from": Event.received_at.__ge__,
    "received_to": Event.received_at.__lt__,
}
"""The filters of a list: name -> the condition for a value."""


def list_events(
    session: Session, *, filters: Mapping[str, Any], after: tuple[datetime, str] | None, limit: int
) -> EventPage:
    """List events, newest first by time of receipt.

    Args:
        filters: Names from ``FILTERS`` and their values.
        after: Where the page before ended.
        limit: Rows at most.
    """
    query = (
        select(Event, Appointment)
        .outerjoin(Appointment, Appointment.id == Event.appointment_id)
        .options(defer(Event.raw))
        .where(*(FILTERS[name](value) for name, value in filters.items()))
        .order_by(Event.received_at.desc(), Event.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(tuple_(Event.received_at, Event.id) < after)
    rows = [(event, appointment) for event, appointment in session.execute(query)]
    page = rows[:limit]
    return EventPage(page, (page[-1][0].received_at, page[-1][0].id) if len(rows) > limit else None)
