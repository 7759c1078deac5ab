"""The database: the engine, and the one place that commits."""

from __future__ import annotations

import json
import select
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_dumps, set_json_loads
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from service.domain.exact_json import EXACTLY, document
from service.errors import DatabaseBusyError, DatabaseFaultError, DatabaseUnavailableError
from service.postgres.sessions import CONNECT_TIMEOUT, connect
from service.telemetry import log, metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

    from service.postgres.sessions import BoundedConnection

logger = log.get_logger(__name__)

_DECODER = json.JSONDecoder(**EXACTLY)

TELL_EVERY = 1.0
"""Seconds between two lines of the log about the same fault of the database."""


def make_engine(url: str, *, pool: int, statement_timeout: timedelta, lock_timeout: timedelta) -> Engine:
    """Make a pool of connections in which no wait is without an end; one that a restart killed is replaced.

    Args:
        url: A libpq URL.
        pool: Connections at most.
        statement_timeout: The longest one statement may take.
        lock_timeout: The longest one statement may wait for a lock.
    """

    def creator() -> BoundedConnection:
        connection = connect(url, statement_timeout=statement_timeout, lock_timeout=lock_timeout)
        set_json_loads(_read_json, connection)
        set_json_dumps(document, connection)
        return connection

    engine = create_engine(
        "postgresql+psycopg://",
        creator=creator,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
        pool_recycle=1800,
        hide_parameters=True,  # parameters are patients' data, and exceptions reach logs
    )
    event.listen(engine, "checkout", _refuse_dead)
    return engine


def _read_json(document: bytes | str) -> Any:  # noqa: ANN401 (JSON)
    """Read JSON of PostgreSQL's: in UTF-8, which ``json.loads`` would find out anew for each document.

    orjson reads it faster still, but makes a float of an integer of more than 64 bits.
    """
    return _DECODER.decode(document if isinstance(document, str) else document.decode())


def _refuse_dead(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _: object) -> None:
    """Have the pool replace a connection that PostgreSQL has closed.

    It is told by the socket: to an idle connection nothing is said but that. To ask PostgreSQL (``pool_pre_ping``)
    would cost a round trip for each use.
    """
    if not connection.closed:
        socket = select.poll()
        socket.register(connection.pgconn.socket, select.POLLIN)
        if not socket.poll(0):
            record.info["lent"] = True
            return
    if "lent" not in record.info:  # a new one; another would fare no better, and the pool would say it is our fault
        raise psycopg.OperationalError("PostgreSQL closes what it has just opened")
    raise DisconnectionError


# SQLAlchemy's, and the driver's own where it is used directly.
_AWAY = (OperationalError, InterfaceError, PoolTimeoutError, psycopg.OperationalError, psycopg.InterfaceError)
# PostgreSQL is well, but gave up on this one.
_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
# Classes of SQLSTATE that are about what was given: data exceptions, broken constraints, program limits.
_OF_WHAT_WAS_GIVEN = frozenset({"22", "23", "54"})


def is_away(error: BaseException) -> bool:
    """Tell whether an error says that PostgreSQL is away or busy, rather than that it refuses what it was given."""
    return isinstance(error, _AWAY) and not _is_of_what_was_given(_driver_error(error))


def is_of_the_database(error: BaseException) -> bool:
    """Tell whether an error says that PostgreSQL is away, busy or not as it should be, whatever it was given."""
    return _in_our_words(error) is not None


def refusal(error: BaseException) -> str:
    """Say in a few words, without any value, what an error is: ``SQLSTATE 23514 CheckViolation (ck_events_source)``."""
    cause = _driver_error(error)
    state = getattr(cause, "sqlstate", None)
    constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
    words = (state and f"SQLSTATE {state}", type(cause).__name__, constraint and f"({constraint})")
    return " ".join(word for word in words if word)


def _driver_error(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _is_of_what_was_given(cause: BaseException) -> bool:
    # A column that must not be null and is: the reader of events and the API's schemas leave none of ours out, so it
    # is one that this code does not know.
    state = getattr(cause, "sqlstate", None) or ""
    return state[:2] in _OF_WHAT_WAS_GIVEN and not isinstance(cause, psycopg.errors.NotNullViolation)


def _in_our_words(error: BaseException) -> DatabaseUnavailableError | None:
    """Translate an error; None for one that is about what PostgreSQL was given, or is none of the database's."""
    cause = _driver_error(error)
    if isinstance(cause, _BUSY):
        return DatabaseBusyError("PostgreSQL is away or too slow")
    if is_away(error):
        return DatabaseUnavailableError("PostgreSQL is away or too slow")
    if isinstance(cause, psycopg.errors.ReadOnlySqlTransaction) or getattr(error, "connection_invalidated", False):
        return DatabaseUnavailableError("PostgreSQL went away or takes no writes")
    state = getattr(cause, "sqlstate", None)
    if not isinstance(cause, psycopg.Error) or state is None or _is_of_what_was_given(cause):
        return None
    return DatabaseFaultError(state, refusal(error))


def driver(session: Session) -> psycopg.Connection[Any]:
    """Get the driver's connection of a session's transaction."""
    connection: psycopg.Connection[Any] = session.connection().connection.driver_connection  # type: ignore[assignment]
    return connection


@contextmanager
def transaction(engine: Engine | Connection) -> Iterator[Session]:
    """Open the one place that commits: everything inside happens, or nothing.

    Args:
        engine: The pool; or a connection of it that is in no transaction.

    Raises:
        DatabaseBusyError: It gave up on a lock, or on a statement that took too long.
        DatabaseFaultError: PostgreSQL is there, and not as it should be.
        DatabaseUnavailableError: PostgreSQL could not be reached, went away, or did not answer in time.
    """
    with our_errors(), Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def autocommit(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """Lend a driver's connection for single statements: neither BEGIN nor COMMIT, so one round trip each.

    Raises:
        DatabaseBusyError: As ``transaction``.
        DatabaseFaultError: As ``transaction``.
        DatabaseUnavailableError: As ``transaction``.
    """
    with our_errors():
        lent = engine.raw_connection()
        connection: psycopg.Connection[Any] = lent.driver_connection  # type: ignore[assignment]
        try:
            connection.autocommit = True
            yield connection
        finally:
            if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                connection.autocommit = False
                lent.close()
            else:
                lent.invalidate()  # nobody may get it in the wrong mode, or broken


@contextmanager
def our_errors() -> Iterator[None]:
    """Translate SQLAlchemy's errors and the driver's into ours.

    Raises:
        DatabaseBusyError: As ``transaction``.
        DatabaseFaultError: As ``transaction``.
        DatabaseUnavailableError: As ``transaction``.
    """
    try:
        yield
    except (SQLAlchemyError, psycopg.Error) as error:
        ours = _in_our_words(error)
        if ours is None:
            raise  # what was to be written cannot be, and PostgreSQL is well
        if isinstance(ours, DatabaseFaultError):
            _alarm(ours, _driver_error(error))
        raise ours from error


def _alarm(fault: DatabaseFaultError, cause: BaseException) -> None:
    """Count a fault, and tell it, but not for each of a thousand events a second.

    PostgreSQL's own words are in its log. Here they may not be: they may quote what was to be written.
    """
    metrics.database_faulted(fault.sqlstate)
    now = time.monotonic()
    if now - _told.get(fault.sqlstate, -TELL_EVERY) >= TELL_EVERY:
        _told[fault.sqlstate] = now
        logger.error("PostgreSQL is not as it should be", sqlstate=fault.sqlstate, problem=type(cause).__name__)


_told: dict[str, float] = {}  # SQLSTATE -> when it was told last
