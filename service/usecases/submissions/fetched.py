"""What Cobalt shows when it is asked, read like what it sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from service.domain.arrivals import Arrival, Source, Unread
from service.domain.event_bodies import Unreadable
from service.domain.events import event_from
from service.domain.minimum import reduce_bytes
from service.telemetry import log

if TYPE_CHECKING:
    from datetime import datetime

logger = log.get_logger(__name__)


def arrival_of(fetched: dict[str, Any], now: datetime) -> Arrival:
    """Read a row of ``GET /webhook-events`` [P]; one that cannot be read goes to the quarantine.

    Args:
        fetched: The row, in any published shape.
        now: On our clock.
    """
    try:
        return Arrival(event_from(fetched, received_at=now), Source.POLL, now)
    except Unreadable as unreadable:
        logger.error("a fetched event cannot be read: quarantined", problem=str(unreadable))  # noqa: TRY400
        raw = reduce_bytes(json.dumps(fetched).encode())
        return Arrival(Unread(raw, str(unreadable)), Source.POLL, now)
