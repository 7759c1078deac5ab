"""Remove payloads and rows past their time, in small batches beside everything else that runs.

Of every event its row stays, emptied: whatever comes again under its id is still a duplicate. An interrupted run has
removed what it has removed; the next one goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.errors import DatabaseBusyError
from service.postgres.engine import transaction
from service.postgres.queries import retention
from service.postgres.queries.retention import KINDS
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from service.postgres.queries.retention import Kind, Limits, Place

BATCH = 200
"""Rows: what a transaction holds for 0.1 s. A webhook that needs one of them waits a quarter of a second for it."""

logger = log.get_logger(__name__)


def count_due(engine: Engine, limits: Limits) -> dict[str, int]:
    """Count what ``remove_due`` would remove, by kind."""
    counts = {}
    for kind in KINDS:
        with transaction(engine) as session:
            counts[kind.name] = retention.count(session, kind, limits)
    return counts


def count_unread(engine: Engine, limits: Limits) -> int:
    """Count quarantined records that are past their time and stay, because no replay could read them yet."""
    with transaction(engine) as session:
        return retention.count_unread(session, limits)


def remove_due(
    engine: Engine,
    limits: Limits,
    *,
    on_progress: Callable[[str, int], None] = lambda _kind, _count: None,
    batch: int = BATCH,
) -> dict[str, int]:
    """Remove what is past its time; returns how much, by kind.

    Args:
        engine: Its time-outs must allow for looking through a large table.
        limits: What is past its time.
        on_progress: Called after each batch with the kind and how many were removed.
        batch: Rows for each transaction at most.
    """
    counts = {kind.name: _remove(engine, kind, limits, on_progress, batch) for kind in KINDS}
    logger.info("retention ran", counts=counts)
    return counts


def _remove(engine: Engine, kind: Kind, limits: Limits, on_progress: Callable[[str, int], None], batch: int) -> int:
    removed = 0
    after: Place | None = None
    while True:
        due: Sequence[Place] = []
        try:
            with transaction(engine) as session:
                due = retention.lock_next(session, kind, limits, after=after, most=batch)
                if due:
                    kind.remove(session, [row_id for _, row_id in due], limits)
        except DatabaseBusyError:
            if not due:
                raise
            logger.warning("somebody holds what belongs to these: they are left for another time", count=len(due))
        else:
            if not due:
                return removed
            removed += len(due)
            on_progress(kind.name, len(due))
        after = due[-1]
