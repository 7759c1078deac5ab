"""The database: the engine, and the one place that commits."""

from __future__ import annotations

import json
import select
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from service import log, metrics
from service.errors import DatabaseBusyError, DatabaseFaultError, DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import PQGen
    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

RV = TypeVar("RV")

logger = log.get_logger(__name__)

_DECODER = json.JSONDecoder()

CONNECT_TIMEOUT = 2
"""Seconds. The shortest that libpq honours; whoever has less time waits beside the connection, not for it."""

TELL_EVERY = 1.0
"""Seconds between two lines of the log about the same fault of the database."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server which stays silent, frozen or cut off, and closes itself."""

    longest = 30.0
    """Seconds that one exchange with the server may take."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server, but not for ever."""
        try:
            return super().wait(gen, interval, self.longest if timeout is None else timeout)
        except psycopg.OperationalError as error:
            # An error that the server sent has a code, and the connection is as good as before.
            if error.sqlstate is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # the answer may still come: nobody may take it for the next one's
            raise


def connect_arguments(url: str, *, statement_timeout: timedelta, lock_timeout: timedelta) -> dict[str, Any]:
    """Say how to connect so that no wait is without an end; see ``make_engine``."""
    options = {
        "statement_timeout": _milliseconds(statement_timeout),
        "lock_timeout": _milliseconds(lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(statement_timeout * 2),
    }
    given = conninfo_to_dict(url).get("options")
    return {
        "conninfo": url,
        "connect_timeout": CONNECT_TIMEOUT,
        "application_name": "cobalt-appointments",
        "options": " ".join([str(given or ""), *(f"-c {name}={value}" for name, value in options.items())]),
        # A host that vanished without a FIN is noticed within seconds, not after the kernel's hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 10_000,
    }


def longest_exchange(statement_timeout: timedelta) -> timedelta:
    """Say how long to wait for a server that should end what takes too long, and may not even do that any more."""
    return statement_timeout * 1.1 + timedelta(seconds=0.1)


def make_engine(url: str, *, pool: int, statement_timeout: timedelta, lock_timeout: timedelta) -> Engine:
    """Make a pool of connections in which no wait is without an end; one that a restart killed is replaced.

    Args:
        url: A libpq URL; it goes to libpq untouched, so sockets and several hosts work.
        pool: Connections at most.
        statement_timeout: The longest one statement may take.
        lock_timeout: The longest one statement may wait for a lock.
    """
    arguments = connect_arguments(url, statement_timeout=statement_timeout, lock_timeout=lock_timeout)

    def connect() -> psycopg.Connection[Any]:
        connection = BoundedConnection.connect(**arguments)
        connection.longest = longest_exchange(statement_timeout).total_seconds()
        set_json_loads(_read_json, connection)
        return connection

    engine = create_engine(
        "postgresql+psycopg://",
        creator=connect,
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


def _milliseconds(duration: timedelta) -> int:
    return max(1, round(duration.total_seconds() * 1000))
