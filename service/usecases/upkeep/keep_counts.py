"""Fold what the triggers wrote into the counts, or count everything anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.postgres.engine import transaction
from service.postgres.queries import counts

if TYPE_CHECKING:
    from sqlalchemy import Engine

MOST = 10_000
"""Deltas that are folded at once: a quarter of a second, whatever has piled up; a worker has other things to do."""


def fold_counts(engine: Engine) -> dict[str, int]:
    """Fold what has piled up, or the most of it, unless another worker is just doing that; returns counts."""
    with transaction(engine) as session:
        if not counts.try_lock(session):
            return {"folded": 0}
        folds = (counts.fold, counts.fold_unmatched, counts.fold_failure_codes)
        return {"folded": sum(fold(session, most=MOST) for fold in folds)}


def recount(engine: Engine) -> None:
    """Count everything anew: after rows were written past the triggers. Nobody has to wait for it.

    It reads the whole table of appointments, in one statement; the engine's time-outs must allow for that.
    """
    with transaction(engine) as session:
        counts.lock(session)
        counts.recount(session)
    while fold_counts(engine)["folded"]:
        pass
