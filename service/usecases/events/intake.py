"""The door for webhooks: on the event loop, over one connection of its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName, UniqueViolation

from service.domain.arrivals import Unread
from service.errors import DatabaseUnavailableError
from service.postgres.engine import our_errors
from service.postgres.loop_wait import LoopWait
from service.postgres.queries.door import Link
from service.postgres.sessions import connect_on_loop, longest_exchange
from service.telemetry import metrics
from service.usecases.events.apply_events import apply, applying

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    import psycopg
    from sqlalchemy import Engine

    from service.config import Settings
    from service.domain.arrivals import Arrival
    from service.domain.states import Disposition


NEVER_OF_USE = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
"""What PostgreSQL's planner must not choose for the door, which finds every row by a key: a plan that was made for the
small tables of the first day, and is prepared, would be slow on those of the second."""

STALE = (FeatureNotSupported, InvalidSqlStatementName, DuplicatePreparedStatement)
"""How PostgreSQL says that a prepared statement does not fit its tables any more, is gone, or is there already."""


def door_timeouts(settings: Settings) -> dict[str, timedelta]:
    """Say how long the door may wait for PostgreSQL."""
    return {
        "statement_timeout": settings.webhook_budget,
        # Locks are held for milliseconds; a batch with a stuck row goes to the spool.
        "lock_timeout": settings.webhook_budget / 8,
    }


class Intake:
    """Applies batches of webhooks, one after the other.

    In a thread, the batches and the requests of the event loop would take the interpreter's lock from each other
    a dozen times a request, which costs more than the batches do.

    Args:
        engine: For the rare batches that need more than the door's statements.
        settings: For the database and its time-outs.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._url = settings.database_url
        self._timeouts = door_timeouts(settings)
        self._longest = longest_exchange(self._timeouts["statement_timeout"]).total_seconds()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._wait: LoopWait | None = None
        self._prepared: set[bytes] = set()
        self._named: set[tuple[str, str]] = set()

    async def apply(self, arrivals: Sequence[Arrival]) -> list[Disposition]:
        """Do what ``service.usecases.events.apply_events.apply`` does.

        Raises:
            DatabaseUnavailableError: PostgreSQL is away; nothing was kept.
        """
        answers = None
        if not any(isinstance(arrival.said, Unread) for arrival in arrivals):
            with our_errors():
                try:
                    answers = await self._apply(arrivals)
                except (UniqueViolation, *STALE):
                    # Nothing was committed. The same event came through another process meanwhile, about another
                    # appointment; or the connection knew a statement that PostgreSQL does not, and there is a new one.
                    answers = await self._apply(arrivals)
        if answers is None:
            return await asyncio.to_thread(apply, self._engine, arrivals)
        metrics.batch_applied("webhook", answers)
        return answers

    def close(self) -> None:
        """Let go of the connection, in whatever state; the next batch makes another."""
        if self._wait is not None:
            self._wait.close()
            self._wait = None
        if self._connection is not None:
            self._connection.pgconn.finish()
            self._connection = None

    async def _apply(self, arrivals: Sequence[Arrival]) -> list[Disposition] | None:
        try:
            async with asyncio.timeout(self._longest):
                if self._connection is None or self._wait is None:
                    self._connection = await connect_on_loop(
                        self._url, settings=dict.fromkeys(NEVER_OF_USE, "off"), **self._timeouts
                    )
                    self._wait = LoopWait(self._connection.pgconn.socket, self.close)
                    self._prepared = set()
                link = Link(self._connection.pgconn, self._prepared, self._named)
                return await self._wait.run(applying(link, arrivals, datetime.now(UTC)))
        except BaseException as error:
            self.close()  # which rolls back, whether or not PostgreSQL still answers
            if isinstance(error, TimeoutError):
                raise DatabaseUnavailableError("PostgreSQL did not answer in time") from error
            raise
