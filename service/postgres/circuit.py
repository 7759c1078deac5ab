"""A short memory of an outage: while PostgreSQL is known to be away, nobody waits to find that out again."""

from __future__ import annotations

import threading
import time

HALF_OPEN_AFTER = 5.0
"""Seconds after which one request may try again, in case whoever should notice the return is stuck itself."""


class Circuit:
    """Closed: use PostgreSQL. Open: it was away a moment ago, do not wait for it.

    Whoever looks after the database closes it again; see ``service.usecases.events.drain_spool``.
    """

    def __init__(self) -> None:
        self._opened_at: float | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether PostgreSQL was away when last heard of."""
        return self._opened_at is not None

    def claim_try(self) -> bool:
        """Take the one try that is due now and then while it is open; tells whether the caller has it."""
        with self._lock:
            if self._opened_at is None or time.monotonic() - self._opened_at <= HALF_OPEN_AFTER:
                return False
            self._opened_at = time.monotonic()
            return True

    def open(self) -> bool:
        """Remember that PostgreSQL is away; tells whether that is news."""
        with self._lock:
            news = self._opened_at is None
            self._opened_at = time.monotonic()
            return news

    def close(self) -> bool:
        """Remember that PostgreSQL is back; tells whether that is news."""
        with self._lock:
            news = self._opened_at is not None
            self._opened_at = None
            return news
