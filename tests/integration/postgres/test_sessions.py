"""Whatever the defaults are, a session of ours is as it is pinned."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from service.errors import DatabaseUnavailableError
from service.postgres.engine import autocommit, make_engine, transaction
from service.postgres.queries.appointment_views import Listing, list_appointments
from service.postgres.queries.asking import claim_questions, open_questions
from service.postgres.queries.changes import list_changes
from service.postgres.sessions import PINNED, PINNED_LATER, connect, connect_on_loop
from tests import hostile
from tests.conftest import fresh_database
from tests.pooler import dropping_options
from tests.records import ACCOUNT, created, deliver, open_engine, row, submit, wait_for_the_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
MINUTE = timedelta(minutes=1)
EXPECTED = PINNED | PINNED_LATER | {
    "statement_timeout": "60000",
    "lock_timeout": "60000",
    "idle_in_transaction_session_timeout": "120000",
}  # fmt: skip
NAMES = list(EXPECTED)


@pytest.fixture(params=sorted(hostile.ROLES))
def url(request: pytest.FixtureRequest, server_url: str, template: str) -> Iterator[str]:
    with fresh_database(server_url, template, role=request.param) as url:
        yield url


def of_a_command(url: str) -> list[Any]:
    with connect(url, statement_timeout=MINUTE, lock_timeout=MINUTE) as connection:
        connection.rollback()
        return connection.execute(SETTINGS, [NAMES]).fetchall()


def of_a_transaction(url: str) -> list[Any]:
    engine = make_engine(url, pool=1, statement_timeout=MINUTE, lock_timeout=MINUTE)
    with transaction(engine) as session:
        found = session.connection().exec_driver_sql(SETTINGS, (NAMES,)).all()
    engine.dispose()
    return list(found)


def of_single_statements(url: str) -> list[Any]:
    engine = make_engine(url, pool=1, statement_timeout=MINUTE, lock_timeout=MINUTE)
    with autocommit(engine) as connection:
        found = connection.execute(SETTINGS, [NAMES]).fetchall()
    engine.dispose()
    return found


def of_the_door(url: str) -> list[Any]:
    async def ask_on_loop() -> list[Any]:
        connection = await connect_on_loop(url, statement_timeout=MINUTE, lock_timeout=MINUTE, settings={"jit": "off"})
        async with connection:
            assert await (await connection.execute("SHOW jit")).fetchone() == ("off",)
            return await (await connection.execute(SETTINGS, [NAMES])).fetchall()

    return asyncio.run(ask_on_loop())


SESSIONS = [of_a_command, of_a_transaction, of_single_statements, of_the_door]


def test_the_defaults_of_all_tests_are_others_than_what_is_pinned(url: str) -> None:
    patience = "-c statement_timeout=9s -c idle_session_timeout=9s -c transaction_timeout=9s"
    with psycopg.connect(url, autocommit=True, options=patience) as raw:
        found: dict[str, str] = dict(raw.execute(SETTINGS, [NAMES]).fetchall())
    assert {name for name, value in EXPECTED.items() if found[name] == value} <= {"default_transaction_deferrable"}


@pytest.mark.parametrize("session", SESSIONS)
def test_no_default_reaches_a_session(url: str, session: Callable[[str], list[Any]]) -> None:
    assert dict(session(url)) == EXPECTED


@pytest.mark.parametrize("session", SESSIONS)
def test_what_a_pooler_leaves_out_is_asked_for_again(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory, session: Callable[[str], list[Any]]
) -> None:
    patient = sql.Identifier(f"patient_{secrets.token_hex(4)}")
    with connect(server_url, autocommit=True) as control:
        control.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(patient))
        # The statement that asks again needs some time.
        control.execute(sql.SQL("ALTER ROLE {} SET statement_timeout = '9s'").format(patient))
        control.execute(sql.SQL("ALTER ROLE {} SET client_encoding = 'LATIN1'").format(patient))
    with (
        fresh_database(server_url, template) as url,
        dropping_options(url.replace("east@", f"{patient.as_string()[1:-1]}@"), tmp_path_factory.mktemp("p")) as pooled,
    ):
        assert dict(session(pooled)) == EXPECTED
    with connect(server_url, autocommit=True) as control:
        control.execute(sql.SQL("DROP ROLE {}").format(patient))


def test_what_the_url_asks_for_is_kept_unless_it_is_pinned(url: str) -> None:
    asked = f"{url}&client_encoding=LATIN1&options=-c%20work_mem%3D7MB%20-c%20TimeZone%3DAsia/Tokyo"
    with connect(asked) as connection:
        shown = "SELECT current_setting('work_mem'), current_setting('TimeZone'), current_setting('client_encoding')"
        assert connection.execute(shown).fetchone() == ("7MB", "UTC", "UTF8")


@pytest.mark.parametrize(("default", "kept"), [("remote_write", "remote_write"), ("off", "on")])
def test_only_a_commit_that_may_be_lost_is_made_one_that_may_not(url: str, default: str, kept: str) -> None:
    name = sql.Identifier(urlsplit(url).path[1:])
    with connect(url, autocommit=True) as control:
        control.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(name, sql.Literal(default)))
    with connect(url) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == (kept,)


def test_a_database_that_is_to_take_no_writes_takes_none(server_url: str, template: str) -> None:
    with fresh_database(server_url, template) as url:
        name = sql.Identifier(urlsplit(url).path[1:])
        with connect(server_url, autocommit=True) as control:
            control.execute("CREATE ROLE plain SUPERUSER LOGIN")
            control.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        plain = url.replace("east@", "plain@")
        with open_engine(plain) as engine, pytest.raises(DatabaseUnavailableError), transaction(engine) as session:
            session.execute(text("DELETE FROM appointments"))
    with connect(server_url, autocommit=True) as control:
        control.execute("DROP ROLE plain")


def test_a_session_without_triggers_that_may_not_be_mended_is_a_database_that_is_away(
    server_url: str, template: str
) -> None:
    with connect(server_url, autocommit=True) as control:
        control.execute("CREATE ROLE lowly LOGIN")
        control.execute("ALTER ROLE lowly SET session_replication_role = 'replica'")
    with fresh_database(server_url, template) as url, open_engine(url.replace("east@", "lowly@")) as engine:
        with pytest.raises(DatabaseUnavailableError) as raised, transaction(engine) as session:
            session.execute(text("SELECT 1"))
        assert "session_replication_role" in str(raised.value.__cause__)
    with connect(server_url, autocommit=True) as control:
        control.execute("DROP ROLE lowly")


def test_no_letter_is_lost_on_its_way_to_a_table(url: str) -> None:
    with open_engine(url) as engine:
        [one] = submit(engine, "1", provider="Łukasz Žižka 山田 👩‍⚕️")
        deliver(engine, created("evt_1", "1", provider_name="Łukasz Žižka 山田 👩‍⚕️"))
        found = row(engine, one)
    assert found["provider"] == found["confirmation"]["provider_name"] == "Łukasz Žižka 山田 👩‍⚕️"


@pytest.mark.parametrize("starts_at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_a_time_at_an_end_of_the_calendar_that_is_there_already_is_in_nobodys_way(url: str, starts_at: str) -> None:
    now = datetime.now(UTC)
    with open_engine(url) as engine:
        submit(engine, "1")
        with transaction(engine) as session:
            session.execute(text("UPDATE appointments SET starts_at = :at, due_at = '2000-01-01'"), {"at": starts_at})
        wait_for_the_others(engine)
        with transaction(engine) as session:
            [changed] = list_changes(session, after=None, limit=9).rows
            assert changed.starts_at == datetime.fromisoformat(starts_at)
            [question] = open_questions(session, since=now - timedelta(days=1))
            [claimed] = claim_questions(session, allowed={ACCOUNT: 9}, now=now, interval=MINUTE)
        assert question.starts_at == claimed.starts_at == changed.starts_at
        listing = Listing(filters={}, sort="-created_at")
        with autocommit(engine) as connection:
            page = list_appointments(connection, listing, after=None, limit=9, overdue_before=now)
        assert [one.id for one in page.rows] == [changed.id]
