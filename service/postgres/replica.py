"""Reads that may be slightly old go to a replica, when there is one, it answers, and it is not too far behind.

How old an answer is, is never taken from a clock of the replica's or from its own belief that it has replayed all:
one that the primary no longer reaches believes that too. It is told by the primary's positions in its log, which
come with every authentication: what the replica has replayed is at least as new as the newest position behind it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from service.errors import DatabaseBusyError, DatabaseUnavailableError
from service.postgres.engine import our_errors, transaction
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session

    from service.postgres.sessions import BoundedConnection

SPACING = 0.1
"""Seconds between two positions that are remembered."""
MOMENT = 0.05
"""Seconds that a read waits for a replica to catch up: a healthy one is milliseconds behind."""
REST_BEHIND = 0.5
"""Seconds in which nobody asks a replica that was too far behind."""
REST_UNREACHABLE = 5.0
"""Seconds in which nobody asks one that did not answer; then one request tries, and the others go round it."""
STEP = 0.01
ANSWERS_WITHIN = 1.0
"""Seconds in which a replica says how far it is; the primary answers instead of one that does not."""

# Only one in recovery tells how far it has replayed. One that was promoted may have gone its own way since.
_STATE = """
SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn, pg_last_xact_replay_timestamp() WHERE pg_is_in_recovery()
"""

logger = log.get_logger(__name__)


class Position(NamedTuple):
    """How far the primary had written its log at an instant, on its own clock."""

    at: datetime
    written: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A session on a replica, and the instant up to which it knows everything."""

    session: Session
    as_of: datetime


class BehindError(DatabaseUnavailableError):
    """A replica is too far behind to be used."""


class Replica:
    """A pool of connections to replicas, and what is known of how far they are.

    Args:
        engine: Leads to a replica; which one may differ from connection to connection.
        most_behind: A replica that is further behind is not used.
    """

    def __init__(self, engine: Engine, *, most_behind: timedelta) -> None:
        self._engine = engine
        self._most_behind = most_behind
        kept = most_behind.total_seconds() / SPACING
        self._positions: deque[Position] = deque(maxlen=max(1, round(kept)))
        self._lock = threading.Lock()
        self._in_use = True
        self._try_again_at = 0.0

    @property
    def engine(self) -> Engine:
        """The pool."""
        return self._engine

    @property
    def in_use(self) -> bool:
        """Whether it could be used when it was last asked."""
        return self._in_use

    @contextmanager
    def reading(self, now: Position) -> Iterator[Reading]:
        """Open a session on a replica.

        Args:
            now: Where the primary is, or was when this request began.

        Raises:
            DatabaseUnavailableError: It does not answer, is too far behind, or was unusable a moment ago.
        """
        self._remember(now)
        if not self._may_try():
            raise DatabaseUnavailableError("the replica was unusable a moment ago")
        try:
            with our_errors(), self._engine.connect() as connection:
                as_of = self._as_of(connection, now)
                self._note_use()
                # On the same connection, for another may lead to another replica; but in a transaction of its own,
                # so that what is read there is not older than what it was asked before.
                with transaction(connection) as session:
                    yield Reading(session, as_of)
        except DatabaseBusyError:
            raise  # it is well, but this took too long or was in the way of what it has to replay
        except DatabaseUnavailableError as error:
            self._note_failure(error)
            raise

    def _may_try(self) -> bool:
        with self._lock:
            if self._in_use:
                return True
            if time.monotonic() < self._try_again_at:
                return False
            self._try_again_at = time.monotonic() + REST_UNREACHABLE
            return True

    def _note_use(self) -> None:
        with self._lock:
            news, self._in_use = not self._in_use, True
        if news:
            logger.info("replica is used again")

    def _note_failure(self, error: DatabaseUnavailableError) -> None:
        rest = REST_BEHIND if isinstance(error, BehindError) else REST_UNREACHABLE
        with self._lock:
            news, self._in_use = self._in_use, False
            self._try_again_at = time.monotonic() + rest
        if news:
            logger.warning("replica cannot be used: the primary answers", problem=str(error))

    def _as_of(self, connection: Connection, now: Position) -> datetime:
        driver: BoundedConnection = connection.connection.driver_connection  # type: ignore[assignment]
        usual, driver.longest = driver.longest, ANSWERS_WITHIN
        deadline = time.monotonic() + MOMENT
        try:
            driver.autocommit = True
            while True:
                row = driver.execute(_STATE).fetchone()
                if row is None:
                    raise DatabaseUnavailableError("it is no replica")
                as_of = self._told(row[0], row[1], now)
                if as_of and now.at - as_of <= self._most_behind:
                    return min(as_of, now.at)
                if time.monotonic() > deadline:
                    raise BehindError("it is too far behind")
                time.sleep(STEP)
        except psycopg.Error:
            connection.invalidate()
            self._engine.dispose(close=False)  # the others of this age broke with it
            raise
        finally:
            driver.longest = usual
            if not driver.closed:
                driver.autocommit = False

    def _told(self, replayed: int, committed_at: datetime | None, now: Position) -> datetime | None:
        """Say up to which instant everything is there; None when nothing tells."""
        passed = [one.at for one in (*self._remembered(), now) if one.written <= replayed]
        return max((at for at in (*passed, committed_at) if at), default=None)

    def _remember(self, position: Position) -> None:
        with self._lock:
            if not self._positions or (position.at - self._positions[-1].at).total_seconds() >= SPACING:
                self._positions.append(position)

    def _remembered(self) -> list[Position]:
        with self._lock:
            return list(self._positions)
