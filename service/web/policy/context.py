"""What views need of the application: its databases and its settings."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from flask import g, request

from service.errors import DatabaseUnavailableError
from service.postgres.engine import autocommit, driver, transaction
from service.telemetry import metrics
from service.web.policy.cursors import Cursors
from service.web.services import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from flask import Flask, Response
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.config import Settings
    from service.postgres.replica import Reading, Replica
    from service.usecases.access.api_keys import Caller

T = TypeVar("T")


def register(app: Flask) -> None:
    """Have every answer that was read from a database say how old it may be."""
    app.after_request(_say_as_of)


def engine() -> Engine:
    """Get the pool of connections for the API."""
    return services().engine


def settings() -> Settings:
    """Get the settings."""
    return services().settings


def overdue_before() -> datetime:
    """Say when those were asked for that have become overdue just now."""
    return datetime.now(UTC) - settings().overdue_after


def cursors() -> Cursors:
    """Get what makes and reads cursors."""
    return Cursors(settings().cobalt_client_secret)


def find_replica() -> Replica | None:
    """Find the replica, where there is one."""
    return services().replica


@contextmanager
def reading() -> Iterator[Session]:
    """Open a session for reads that may be slightly old, in a view that requires a scope.

    It is on the replica, unless there is none, it cannot be used, or the caller wrote a moment ago and must see
    that. ``as_of`` and the header ``As-Of`` say how old what is read there may be.

    Raises:
        DatabaseUnavailableError: Neither the replica nor the primary answers.
    """
    with ExitStack() as stack:
        session = _read_replica(stack)
        yield session or stack.enter_context(transaction(engine()))


@contextmanager
def reading_once() -> Iterator[psycopg.Connection[Any]]:
    """Open a driver's connection for a read of one statement: as ``reading``, but the primary begins no transaction.

    Raises:
        DatabaseUnavailableError: As ``reading``.
    """
    with ExitStack() as stack:
        session = _read_replica(stack)
        yield driver(session) if session else stack.enter_context(autocommit(engine()))


def reads_replica() -> bool:
    """Tell whether the request under way reads from the replica."""
    return bool(g.get("read_from_replica"))


def as_of() -> datetime:
    """Say up to which instant everything is known in what this request has read so far."""
    found: datetime = g.as_of
    return found


def forget_reads() -> None:
    """Begin to read once more: what was read so far is not what will be answered."""
    g.pop("as_of", None)


def once_more_on_primary(view: Callable[[], T]) -> T:
    """Call a view, and once more when a replica broke in the middle of it."""
    try:
        return view()
    except DatabaseUnavailableError:
        if not reads_replica():
            raise
        g.stays_on_primary = True
        forget_reads()
        return view()


def _read_replica(stack: ExitStack) -> Session | None:
    """Open a session on the replica, unless the primary is to be read; note which of them is."""
    found = _open_replica(stack)
    g.read_from_replica = found is not None
    metrics.reads.labels("replica" if found else "primary").inc()
    as_of = found.as_of if found else datetime.now(UTC)
    g.as_of = min(as_of, g.get("as_of", as_of))
    return found.session if found else None


def _open_replica(stack: ExitStack) -> Reading | None:
    replica, caller = find_replica(), _caller()
    if replica is None or caller is None or g.get("stays_on_primary"):
        return None
    if caller.wrote_lately or caller.position is None:
        return None
    if "Prefer" in request.headers:  # who waits for news must find them, and they are seen on the primary first
        return None
    try:
        return stack.enter_context(replica.reading(caller.position))
    except DatabaseUnavailableError:
        return None


def _caller() -> Caller | None:
    found: Caller | None = g.get("caller")
    return found


def _say_as_of(response: Response) -> Response:
    if "as_of" in g and (response.status_code < HTTPStatus.BAD_REQUEST or response.status_code == HTTPStatus.NOT_FOUND):
        response.headers["As-Of"] = as_of().astimezone(UTC).isoformat().replace("+00:00", "Z")
    return response
