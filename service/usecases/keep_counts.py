"""Fold what the triggers wrote into the counts, or count everything anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.db import transaction
from service.store import counts

if TYPE_CHECKING:
    from sqlalchemy import Engine

MOST = 20_000
"""Deltas that one transaction folds: it takes a fraction of a second, whatever has piled up."""


def fold_counts(engine: Engine) -> dict[str, int]:
    """Fold all deltas that there are, unless another worker is just doing that; returns counts."""
    folded = 0
    while True:
        with transaction(engine) as session:
            if not counts.try_lock(session):
                break
            unmatched = counts.fold_unmatched(session, most=MOST)
            deltas = counts.fold(session, most=MOST)
        folded += deltas
        if MOST not in {deltas, unmatched}:
            break
    return {"folded": folded}


def recount(engine: Engine) -> None:
    """Count everything anew: after rows were written past the triggers. Nobody has to wait for it.

    It reads the whole table of appointments, in one statement; the engine's time-outs must allow for that.
    """
    with transaction(engine) as session:
        counts.lock(session)
        counts.recount(session)
    fold_counts(engine)
