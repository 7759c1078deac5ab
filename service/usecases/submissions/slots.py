"""How accounts share the calls to Cobalt: slots, for one whose calls hang, a ramp after trouble, a pace to ask at."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONGEST_TURN = 1.0
"""Seconds that a question may wait for its account's turn, while it holds one of the calls."""


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
        self._turns = itertools.count()
        self._latest: dict[str, int] = {}  # account -> the number of its latest turn
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """How many are free."""
        return self._free

    def held(self, account: str) -> int:
        """Say how many an account holds."""
        return self._held[account]

    @contextmanager
    def taking(self, waiting: Mapping[str, int]) -> Iterator[Counter[str]]:
        """Take slots for calls that wait, in turn.

        The accounts with the fewest begin, and of these the one whose latest turn is longest ago.

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
        turns = sorted(waiting, key=lambda account: (self._held[account], self._latest.get(account, -1)))
        while turns:
            turns = [account for account in turns if taken[account] < waiting[account] and self._take_one(account)]
            taken.update(turns)
        return taken

    def _take_one(self, account: str) -> bool:
        if self._held[account] >= self._free:
            return False
        self._free -= 1
        self._held[account] += 1
        self._latest[account] = next(self._turns)
        return True


class Ramp:
    """Lets an account that was in trouble begin with one call at a time, and have one more after each answer.

    So they double with each round of calls, as TCP begins too.
    Each worker has its own, and those accounts that were in no trouble are in none.

    Args:
        most: From how many on there is no limit.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._widths: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, accounts: Iterable[str]) -> None:
        """Have these accounts begin with one call, when they may be called again."""
        with self._lock:
            self._widths |= dict.fromkeys(accounts, 1)

    def widen(self, account: str) -> None:
        """Let an account that was answered have one more call at a time."""
        with self._lock:
            width = self._widths.pop(account, self._most) + 1
            if width < self._most:
                self._widths[account] = width

    def limit(self, due: Mapping[str, int], slots: Slots) -> dict[str, int]:
        """Say how many calls of each account may begin now, of those that are due."""
        with self._lock:
            widths = self._widths.copy()
        return {
            account: min(number, room)
            for account, number in due.items()
            if (room := widths.get(account, number) - (slots.held(account) if account in widths else 0)) > 0
        }


class Pace:
    """Spaces the questions on behalf of each account evenly.

    Args:
        rate: Questions a second.
        ending: Once it is set, nobody waits any more.
    """

    def __init__(self, rate: float, ending: threading.Event) -> None:
        self._interval = 1 / rate
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()
        self._ending = ending

    def busy(self) -> list[str]:
        """List the accounts whose next turn is more than a moment away: they must not keep the others waiting."""
        with self._lock:
            soon = time.monotonic() + LONGEST_TURN
            return [account for account, turn in self._next.items() if turn > soon]

    def wait(self, account: str) -> None:
        """Wait for this account's next turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next.get(account, now))
            self._next[account] = turn + self._interval
        self._ending.wait(turn - now)
