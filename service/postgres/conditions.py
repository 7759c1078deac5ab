"""Conditions on a submission: written once, for the partial indexes and for the queries that need those indexes.

PostgreSQL takes a partial index only where a query repeats its condition, with the values written out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.domain.submission import WITH_COBALT, Submission

if TYPE_CHECKING:
    from collections.abc import Iterable


def quoted(words: Iterable[str]) -> str:
    """Write words of ours as SQL lists them."""
    return ", ".join(f"'{word}'" for word in words)


IS_QUEUED = f"status = 'processing' AND submission = '{Submission.QUEUED}'"
IS_AWAITED = f"status = 'processing' AND submission IN ({quoted(WITH_COBALT)})"
IS_UNCONFIRMED = f"submission = '{Submission.UNCONFIRMED}'"
IS_NOT_ACCEPTED = f"submission <> '{Submission.ACCEPTED}'"
