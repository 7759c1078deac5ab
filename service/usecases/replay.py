"""Read quarantined bytes again, after a fix; what can be read now goes through the one door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.db import transaction
from service.errors import NotFoundError
from service.events import Unreadable, read_event
from service.states import Disposition
from service.store import quarantine
from service.store.events import Arrival, Source
from service.usecases.apply_events import apply_within

if TYPE_CHECKING:
    from sqlalchemy import Engine


def replay(engine: Engine, quarantined_id: str) -> tuple[Disposition, str | None]:
    """Replay one record of the quarantine; any number of times, the event is applied once.

    Returns:
        What became of it, and the event's id: ``quarantined`` and None while it still cannot be read.

    Raises:
        NotFoundError: There is no such record.
    """
    now = datetime.now(UTC)
    with transaction(engine) as session:
        record = quarantine.lock_quarantined(session, quarantined_id)
        if record is None:
            raise NotFoundError("there is nothing in quarantine under this id")
        try:
            event = read_event(record.raw, received_at=record.received_at)
        except Unreadable as unreadable:
            record.reason = str(unreadable)
            return Disposition.QUARANTINED, None
        (disposition,) = apply_within(session, [Arrival(event, Source.REPLAY, now)], now=now)
        record.replayed_at = now
        record.event_id = event.id
        return disposition, event.id
