"""Tallies that the event loop keeps in plain memory: a shared counter costs more than a microsecond each time."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Counter, Histogram


class Counts:
    """Counts that one thread makes in plain memory, and another carries over to a shared counter.

    A shared counter costs more than a microsecond each time, and the event loop has a few for an event.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._now: dict[tuple[str, ...], int] = {}
        self._carried: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str) -> None:
        """Count one; from one thread only."""
        self._now[labels] = self._now.get(labels, 0) + 1

    def carry(self) -> None:
        """Carry over what was counted since the last time."""
        for labels, number in self._now.copy().items():
            new = number - self._carried.get(labels, 0)
            if new:
                self._counter.labels(*labels).inc(new)
                self._carried[labels] = number


class Measures:
    """As ``Counts``, for a histogram."""

    def __init__(self, histogram: Histogram, bounds: Iterable[float]) -> None:
        self._histogram = histogram
        self._bounds = [float(bound) for bound in bounds]
        self._now = [0] * (len(self._bounds) + 1)
        self._carried = self._now.copy()
        self._sum = self._carried_sum = 0.0

    def add(self, value: float) -> None:
        """Count one; from one thread only."""
        self._now[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def carry(self) -> None:
        """Carry over what was counted since the last time."""
        now, total = self._now.copy(), self._sum
        for position, number in enumerate(now):
            new = number - self._carried[position]
            if new:
                self._histogram._buckets[position].inc(new)  # noqa: SLF001 (it has no way to observe many)
        self._histogram._sum.inc(total - self._carried_sum)  # noqa: SLF001
        self._carried, self._carried_sum = now, total
