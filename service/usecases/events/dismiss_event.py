"""Do what a person says of an event of another account: that it is not about the appointment whose id it names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.domain.states import Disposition
from service.errors import ConflictError, NotFoundError
from service.postgres.engine import transaction
from service.postgres.queries import appointments, decisions, events
from service.telemetry import log

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.postgres.queries.decisions import Person

logger = log.get_logger(__name__)


def dismiss_event(engine: Engine, event_id: str, *, person: Person) -> None:
    """Have an event of another account wait no longer: it is kept, and settles nothing.

    Raises:
        NotFoundError: There is no such event.
        ConflictError: It does not wait because of its account.
    """
    now = datetime.now(UTC)
    with transaction(engine) as session:
        named = events.find_event(session, event_id)
        if named is None:
            raise NotFoundError("there is no event with this id")
        events.lock_ids(session, [named.cobalt_appointment_id] if named.cobalt_appointment_id else [])
        session.refresh(named)
        if not named.of_another_account or named.disposition != Disposition.UNMATCHED:
            raise ConflictError("this event does not wait because of its account")
        events.change_dispositions(session, {event_id: Disposition.IGNORED})
        row = appointments.find_by_cobalt_id(session, named.cobalt_appointment_id or "")
        if row is not None:
            decisions.record(
                session, row, "dismissed", person=person, now=now, cobalt_ids=[row.cobalt_appointment_id or ""]
            )
    logger.warning("event of another account dismissed by a person", event_id=event_id)
