"""Connections that PostgreSQL has closed while nobody used them."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import event, text

from service.errors import DatabaseUnavailableError
from service.postgres.engine import autocommit, make_engine, transaction
from service.postgres.sessions import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

PID = "SELECT pg_backend_pid()"


@pytest.fixture
def engine(server_url: str) -> Iterator[Engine]:
    engine = make_engine(server_url, pool=1, statement_timeout=timedelta(seconds=5), lock_timeout=timedelta(seconds=5))
    yield engine
    engine.dispose()


def in_transaction(engine: Engine) -> int:
    with transaction(engine) as session:
        return int(session.scalar(text(PID)) or 0)


def alone(engine: Engine) -> int:
    with autocommit(engine) as connection:
        row = connection.execute(PID).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("use", [in_transaction, alone])
def test_a_connection_that_was_closed_is_replaced_and_one_that_was_not_is_kept(
    engine: Engine, server_url: str, use: Callable[[Engine], int]
) -> None:
    first = use(engine)
    assert use(engine) == first
    with connect(server_url, autocommit=True) as control:
        control.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    assert use(engine) not in {0, first}


def test_one_that_was_closed_on_our_side_is_replaced(engine: Engine) -> None:
    with closing(engine.raw_connection()) as lent:
        connection = lent.driver_connection
    assert isinstance(connection, psycopg.Connection)
    connection.pgconn.finish()
    assert alone(engine)


@pytest.mark.parametrize("use", [in_transaction, alone])
def test_a_server_that_closes_each_at_once_is_away(
    engine: Engine, server_url: str, use: Callable[[Engine], int]
) -> None:
    def close(connection: psycopg.Connection[tuple[Any, ...]], _: object) -> None:
        with connect(server_url, autocommit=True) as control:
            control.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])

    event.listen(engine, "connect", close)
    with pytest.raises(DatabaseUnavailableError):
        use(engine)
    event.remove(engine, "connect", close)
    assert use(engine)
