"""How long outcomes took, as the histogram ``outcome_counts`` keeps it: buckets that each begin a tenth later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RATIO = 1.1
"""Bucket n holds what took RATIO^n to RATIO^(n+1) seconds; the SQL function ``outcome_bucket`` says so too."""
RELATIVE_ERROR = 0.05
"""The middle of a bucket is off by at most sqrt(RATIO) - 1, which is 4.9 %."""


def percentile(histogram: Mapping[int, int], share: float) -> float | None:
    """Say within how many seconds this share of the outcomes was there.

    Args:
        histogram: Bucket -> outcomes in it.
        share: Like 0.95.

    Returns:
        Seconds, by nearest rank, off by at most ``RELATIVE_ERROR``; None where there are no outcomes.
    """
    rank = max(1, math.ceil(share * sum(histogram.values())))
    reached = 0
    for bucket, count in sorted(histogram.items()):
        reached += count
        if reached >= rank:
            return float(RATIO ** (bucket + 0.5))
    return None
