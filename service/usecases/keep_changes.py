"""Keep the feed of changes in order across fail-overs and restores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service import log
from service.db import transaction
from service.store import changes

if TYPE_CHECKING:
    from sqlalchemy import Engine

MOST = 5000
"""Rows that one transaction renumbers; they are locked meanwhile."""

logger = log.get_logger(__name__)


def keep_changes(engine: Engine) -> dict[str, int]:
    """Write down how far the changes have got, and take numbers back that a restored copy brought; returns counts."""
    renumbered = 0
    while True:
        with transaction(engine) as session:
            found = changes.renumber(session, most=MOST)
        renumbered += found
        if found < MOST:
            break
    if renumbered:
        logger.warning("the database was restored from a copy: changes renumbered", count=renumbered)
    with transaction(engine) as session:
        changes.mark(session)
    return {"renumbered": renumbered}
