"""Apply a batch of events of which some may be such that PostgreSQL cannot take them: those go to the quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.domain.arrivals import Unread
from service.errors import AppointmentsError
from service.postgres.engine import refusal
from service.telemetry import log
from service.usecases.events.apply_events import apply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from service.domain.arrivals import Arrival
    from service.domain.states import Disposition

logger = log.get_logger(__name__)


def apply_each(engine: Engine, arrivals: Sequence[Arrival]) -> list[Disposition]:
    """Do what ``apply`` does, but quarantine an event that PostgreSQL refuses; its neighbours suffer nothing for it.

    Raises:
        DatabaseUnavailableError: PostgreSQL is away, busy, or not as it should be. A part of the batch may be
            applied; it is safe to apply it again.
    """
    try:
        return apply(engine, arrivals)
    except AppointmentsError:
        raise
    except Exception as error:
        if len(arrivals) > 1:
            middle = len(arrivals) // 2
            return [*apply_each(engine, arrivals[:middle]), *apply_each(engine, arrivals[middle:])]
        [arrival] = arrivals
        if isinstance(arrival.said, Unread):
            raise
        logger.exception("event could not be applied: quarantined", source=arrival.source)
        return apply(engine, [refused(arrival, error)])


def refused(arrival: Arrival, error: Exception) -> Arrival:
    """Make what goes to the quarantine in place of an event that could be read, and that PostgreSQL refuses."""
    return arrival.quarantined(f"could not be applied: {refusal(error)}")
