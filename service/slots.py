"""Slots for calls to Cobalt that accounts share: one whose calls hang must not keep the others from calling."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Slots:
    """Gives out slots so that an account never holds more than are left free.

    One account alone may have half of them; with one that takes all it can get, the next still finds half of the
    rest, and so on: there is no account for which nothing is left, and none needs to be known beforehand.

    Args:
        number: How many there are.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """How many are free."""
        return self._free

    @contextmanager
    def taking(self, waiting: Mapping[str, int]) -> Iterator[Counter[str]]:
        """Take slots for calls that wait: in turn, beginning with the accounts that have the fewest.

        Args:
            waiting: Account -> how many of its calls are due.

        Yields:
            Account -> how many slots it got. Count down those that a call goes with, which gives its slot back when
            it ends; the others are given back at the end of the block.
        """
        with self._lock:
            taken = self._take(waiting)
        try:
            yield taken
        finally:
            for account in taken.elements():
                self.give_back(account)

    def give_back(self, account: str) -> None:
        """Give back one slot of an account."""
        with self._lock:
            self._free += 1
            self._held[account] -= 1
            if not self._held[account]:
                del self._held[account]

    def _take(self, waiting: Mapping[str, int]) -> Counter[str]:
        taken: Counter[str] = Counter()
        turns = sorted(waiting, key=lambda account: self._held[account])
        while turns:
            turns = [account for account in turns if taken[account] < waiting[account] and self._take_one(account)]
            taken.update(turns)
        return taken

    def _take_one(self, account: str) -> bool:
        if self._held[account] >= self._free:
            return False
        self._free -= 1
        self._held[account] += 1
        return True
