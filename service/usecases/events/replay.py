"""Decide on quarantined bytes: read them again after a fix, take them for an event of their own, or leave them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.domain.arrivals import Arrival, Source
from service.domain.event_bodies import Unreadable
from service.domain.events import read_event
from service.domain.states import Disposition
from service.errors import ConflictError, NotFoundError
from service.postgres.engine import is_of_the_database, refusal, transaction
from service.postgres.queries import quarantine
from service.telemetry import log, metrics
from service.usecases.events.apply_events import apply_within

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.postgres.models import Quarantined

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
        What became of it, and the event's id: ``quarantined`` and None while it still cannot be taken.

    Raises:
        NotFoundError: There is no such record.
        ConflictError: It was decided, and retention has removed its content.
    """
    return _apply(session, _lock(session, quarantined_id), own_id=None)


def accept_within(session: Session, quarantined_id: str, *, person: str) -> tuple[Disposition, str | None]:
    """Take what contradicts a known event for an event of its own, as a person says; the rule decides between the two.

    Its id is that of the known one, a ``~`` and that of the record.

    Returns:
        As ``replay_within``.

    Raises:
        NotFoundError: There is no such record.
        ConflictError: It contradicts no event, or retention has removed its content.
    """
    record = _lock(session, quarantined_id)
    if record.contradicts is None:
        raise ConflictError("this contradicts no event: it can only be replayed")
    disposition, event_id = _apply(session, record, own_id=f"{record.contradicts}~{record.id}")
    if record.replayed_at is not None:
        record.decided_by = person
    return disposition, event_id


def dismiss_within(session: Session, quarantined_id: str, *, person: str) -> Quarantined:
    """Have a record wait no longer: a person says that it needs nothing more.

    Raises:
        NotFoundError: There is no such record.
        ConflictError: It has become an event meanwhile.
    """
    record = quarantine.lock_quarantined(session, quarantined_id)
    if record is None:
        raise NotFoundError("there is nothing in quarantine under this id")
    if record.replayed_at is not None:
        raise ConflictError(f"this is the event {record.event_id} now")
    if record.dismissed_at is None:
        record.dismissed_at, record.decided_by = datetime.now(UTC), person
        logger.warning("quarantined record dismissed by a person", event_id=record.contradicts)
    return record


def _lock(session: Session, quarantined_id: str) -> Quarantined:
    record = quarantine.lock_quarantined(session, quarantined_id)
    if record is None:
        raise NotFoundError("there is nothing in quarantine under this id")
    if (record.replayed_at or record.dismissed_at) and not record.raw:
        raise ConflictError("this was decided, and its content has been removed since")
    return record


def _apply(session: Session, record: Quarantined, own_id: str | None) -> tuple[Disposition, str | None]:
    now = datetime.now(UTC)
    try:
        event = read_event(record.raw, received_at=record.received_at)
        event = event._replace(id=own_id or event.id)
        with session.begin_nested():  # what the database refuses must not take the record's lock with it
            (disposition,) = apply_within(session, [Arrival(event, Source.REPLAY, now, None, record.raw)], now=now)
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
    if disposition is Disposition.QUARANTINED:  # it contradicts an event: the record says so now
        return disposition, None
    record.replayed_at = now
    record.event_id = event.id
    return disposition, event.id
