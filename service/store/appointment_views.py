"""Reads of appointments: they lock nothing and change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select, tuple_

from service.errors import NotFoundError
from service.models import Appointment, Correction, Delivery, Event, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import InstrumentedAttribute, Session


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Args:
        rows: The appointments.
        last: Where the next page begins: the sort key and id of the last row; None on the last page.
    """

    rows: Sequence[Appointment]
    last: tuple[datetime, str] | None


FILTERS: Mapping[str, Callable[[Any], ColumnElement[bool]]] = {
    "status": Appointment.status.__eq__,
    "failure_category": Appointment.failure_category.__eq__,
    "account": Appointment.account.__eq__,
    "cobalt_appointment_id": Appointment.cobalt_appointment_id.__eq__,
    "discrepancy": lambda name: and_(Appointment.discrepancies != [], Appointment.discrepancies.contains([name])),
}
"""The filters of a list: name -> the condition for a value."""

SORTS: Mapping[str, tuple[InstrumentedAttribute[datetime], bool]] = {
    "created_at": (Appointment.created_at, False),
    "-created_at": (Appointment.created_at, True),
    "updated_at": (Appointment.updated_at, False),
    "-updated_at": (Appointment.updated_at, True),
}
"""Sort orders, and whether each is descending. The id breaks ties, so that no row is on two pages."""


def get_appointment(session: Session, appointment_id: str) -> Appointment:
    """Get one appointment by our id.

    Raises:
        NotFoundError: There is none.
    """
    found = session.get(Appointment, appointment_id)
    if found is None:
        raise NotFoundError("there is no appointment with this id")
    return found


def list_appointments(
    session: Session,
    *,
    filters: Mapping[str, Any],
    sort: str,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Page:
    """List appointments.

    Args:
        filters: Names from ``FILTERS`` and their values.
        sort: A key of ``SORTS``.
        after: Where the page before ended.
        limit: Rows at most.
    """
    column, descending = SORTS[sort]
    query = select(Appointment).where(*(FILTERS[name](value) for name, value in filters.items()))
    order = tuple_(column, Appointment.id)
    if after is not None:
        query = query.where(order < after if descending else order > after)
    query = query.order_by(*((column.desc(), Appointment.id.desc()) if descending else (column, Appointment.id)))
    rows = session.scalars(query.limit(limit + 1)).all()
    page = rows[:limit]
    more = len(rows) > limit
    return Page(page, (getattr(page[-1], column.key), page[-1].id) if more else None)


@dataclass(frozen=True, slots=True)
class History:
    """Everything that happened to one appointment."""

    appointment: Appointment
    corrections: Sequence[Correction]
    submissions: Sequence[Submission]
    events: Sequence[Event]
    deliveries: Sequence[Delivery]


def get_history(session: Session, appointment_id: str) -> History:
    """Get everything that happened to one appointment.

    Raises:
        NotFoundError: There is none with this id.
    """
    appointment = get_appointment(session, appointment_id)
    events = session.scalars(select(Event).where(Event.appointment_id == appointment_id)).all()
    return History(
        appointment,
        session.scalars(select(Correction).where(Correction.appointment_id == appointment_id)).all(),
        session.scalars(select(Submission).where(Submission.appointment_id == appointment_id)).all(),
        events,
        session.scalars(select(Delivery).where(Delivery.event_id.in_([event.id for event in events]))).all(),
    )
