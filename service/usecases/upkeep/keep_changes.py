"""Keep the feed of changes in order across fail-overs and restores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.postgres.engine import transaction
from service.postgres.queries import changes
from service.telemetry import log

if TYPE_CHECKING:
    from sqlalchemy import Engine

MOST = 5000
"""Rows that are renumbered at once: they are locked meanwhile."""

logger = log.get_logger(__name__)


def keep_changes(engine: Engine) -> dict[str, int]:
    """Write down how far the changes have got, and renumber some; returns counts."""
    renumbered = renumber_changes(engine)
    with transaction(engine) as session:
        changes.mark(session)
    return {"renumbered": renumbered}


def renumber_changes(engine: Engine) -> int:
    """Take back some of the numbers that a restored copy brought; returns how many, 0 when none is left."""
    with transaction(engine) as session:
        renumbered = changes.renumber(session, most=MOST)
    if renumbered:
        logger.warning("the database was restored from a copy: changes renumbered", count=renumbered)
    return renumbered
