"""What a session at PostgreSQL is like, whoever opens it: no default of a role, database or machine decides for us."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg.abc import PQGen

RV = TypeVar("RV")

CONNECT_TIMEOUT = 2
"""Seconds. The shortest that libpq honours; whoever has less time waits beside the connection, not for it."""

PINNED = {
    # How values look on their way, and how texts of ours are read.
    "client_encoding": "UTF8",
    "TimeZone": "UTC",  # in another zone the ends of the calendar cannot be read any more
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmlbinary": "base64",
    "xmloption": "content",
    "quote_all_identifiers": "off",  # definitions are compared as text when migrations are compared with models
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "array_nulls": "on",
    "transform_null_equals": "off",
    # Which rows a statement is about.
    "search_path": "public",
    "row_security": "off",  # a policy that would hide rows of ours is an error, and not an answer without them
    "gin_fuzzy_search_limit": "0",
    # What a transaction is: everything here locks first and then reads what was committed meanwhile.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # When PostgreSQL gives up. Connections are kept idle in pools; how long one of ours may take is said with each.
    "idle_session_timeout": "0",
    "exit_on_error": "off",
}
"""The settings that change what a statement means, whether it is made, or when it is given up.

Not among them: `role`, by which some installations hand their permissions on, and what only changes the planner's
choices or PostgreSQL's log.
"""

PINNED_LATER = {
    "transaction_timeout": "0",  # unknown before PostgreSQL 17
    "session_replication_role": "origin",  # only some roles may name it; with `replica` no trigger counts or numbers
    "synchronous_commit": "on",  # only in place of `off`, with which what was acknowledged can be lost
    "default_transaction_read_only": "off",  # only in place of a role's: the server's and the database's are fences
}
"""The same, which cannot be asked for while connecting."""

# One round trip, after connecting: PGTZ and PGDATESTYLE come after what we asked for, and a pooler may leave all out.
_PIN = """
SELECT pg_catalog.set_config(name, wanted, false)
FROM pg_catalog.pg_settings JOIN pg_catalog.json_each_text(%s::json) AS pinned (name, wanted) USING (name)
WHERE setting <> wanted AND (name <> 'synchronous_commit' OR setting = 'off') AND (
  name <> 'default_transaction_read_only' OR source IN ('user', 'database user'))
"""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server which stays silent, frozen or cut off, and closes itself."""

    longest: float | None = None
    """Seconds that one exchange with the server may take; None for as long as it wants."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server, but not for ever."""
        try:
            return super().wait(gen, interval, self.longest if timeout is None else timeout)
        except psycopg.OperationalError as error:
            # An error that the server sent has a code, and the connection is as good as before.
            if error.sqlstate is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # the answer may still come: nobody may take it for the next one's
            raise


def connect(
    url: str,
    *,
    statement_timeout: timedelta | None = None,
    lock_timeout: timedelta | None = None,
    autocommit: bool = False,
    **more: Any,
) -> BoundedConnection:
    """Open a connection whose session is pinned.

    Args:
        url: A libpq URL; it goes to libpq untouched, so sockets and several hosts work.
        statement_timeout: The longest one statement may take, and in which the server has to answer.
        lock_timeout: The longest one statement may wait for a lock.
        autocommit: Whether each statement is a transaction of its own.
        more: Of psycopg's.

    Raises:
        psycopg.Error: PostgreSQL is away, or refuses a setting.
    """
    wanted = _wanted(statement_timeout, lock_timeout)
    connection = BoundedConnection.connect(autocommit=True, **_arguments(url, wanted) | more)
    if statement_timeout is not None:
        connection.longest = longest_exchange(statement_timeout).total_seconds()
    try:
        connection.execute(_PIN, [_later(wanted)])
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


async def connect_on_loop(
    url: str, *, statement_timeout: timedelta, lock_timeout: timedelta, settings: dict[str, str]
) -> psycopg.AsyncConnection[Any]:
    """Open a connection as ``connect`` does, for the event loop; the caller bounds how long that may take.

    Args:
        settings: Of the session, beside those that every one has.
    """
    wanted = _wanted(statement_timeout, lock_timeout) | settings
    connection = await psycopg.AsyncConnection.connect(autocommit=True, **_arguments(url, wanted))
    try:
        await connection.execute(_PIN, [_later(wanted)])
    except BaseException:
        connection.pgconn.finish()
        raise
    return connection


def longest_exchange(statement_timeout: timedelta) -> timedelta:
    """Say how long to wait for a server that should end what takes too long, and may not even do that any more."""
    return statement_timeout * 1.1 + timedelta(seconds=0.1)


def _wanted(statement_timeout: timedelta | None, lock_timeout: timedelta | None) -> dict[str, str]:
    return PINNED | {
        "statement_timeout": _milliseconds(statement_timeout),
        "lock_timeout": _milliseconds(lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(statement_timeout and statement_timeout * 2),
    }


def _later(wanted: Mapping[str, str]) -> str:
    return json.dumps({**wanted, **PINNED_LATER})


def _arguments(url: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    """Say how to connect so that no wait is without an end, and each setting holds from the first statement on."""
    given = conninfo_to_dict(url).get("options")  # stays; what comes later wins
    return {
        "conninfo": url,
        "connect_timeout": CONNECT_TIMEOUT,
        "application_name": "cobalt-appointments",
        # What psycopg prepares by itself goes stale when a table changes, and nobody tells it.
        "prepare_threshold": None,
        "options": " ".join([str(given or ""), *(f"-c {name}={_escaped(value)}" for name, value in wanted.items())]),
        # A host that vanished without a FIN is noticed within seconds, not after the kernel's hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 10_000,
    }


def _escaped(value: str) -> str:
    return value.replace(" ", "\\ ")


def _milliseconds(duration: timedelta | None) -> str:
    return "0" if duration is None else str(max(1, round(duration.total_seconds() * 1000)))
