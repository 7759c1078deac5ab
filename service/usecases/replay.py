"""Read quarantined bytes again, after a fix; what can be read now goes through the one door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service import log, metrics
from service.db import is_of_the_database, refusal, transaction
from service.errors import ConflictError, NotFoundError
from service.event_bodies import Unreadable
from service.events import read_event
from service.states import Disposition
from service.store import quarantine
from service.store.events import Arrival, Source
from service.usecases.apply_events import apply_within

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

logger = log.get_logger(__name__)


def replay(engine: Engine, quarantined_id: str) -> tuple[Disposition, str | None]:
    """Replay one record in a transaction of its own; see ``replay_within``.

    Raises:
        NotFoundError: There is no such record.
        DatabaseUnavailableError: PostgreSQL is away, or not as it should be.
    """
    with transaction(engine) as session:
        return replay_within(session, quarantined_id)


def replay_within(session: Session, quarantined_id: str) -> tuple[Disposition, str | None]:
    """Read one record again; any number of times, the event is applied once.

    Returns:
        What became of it, and the event's id: ``quarantined`` and None while it still cannot be read or applied.

    Raises:
        NotFoundError: There is no such record.
        ConflictError: It was replayed, and retention has removed its content.
    """
    now = datetime.now(UTC)
    record = quarantine.lock_quarantined(session, quarantined_id)
    if record is None:
        raise NotFoundError("there is nothing in quarantine under this id")
    if record.replayed_at and not record.raw:
        raise ConflictError("this was replayed, and its content has been removed since")
    try:
        event = read_event(record.raw, received_at=record.received_at)
        with session.begin_nested():  # what the database refuses must not take the record's lock with it
            (disposition,) = apply_within(session, [Arrival(event, Source.REPLAY, now)], now=now)
    except Unreadable as unreadable:
        record.reason = str(unreadable)
        return Disposition.QUARANTINED, None
    except Exception as error:
        if is_of_the_database(error):
            raise
        logger.exception("quarantined event could not be applied")
        record.reason = f"could not be applied: {refusal(error)}"
        return Disposition.QUARANTINED, None
    metrics.event_decided(Source.REPLAY, disposition)
    record.replayed_at = now
    record.event_id = event.id
    return disposition, event.id
