"""A webhook is taken within its budget whatever PostgreSQL does, and applied when PostgreSQL is back."""

from __future__ import annotations

import gc
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from service.errors import DatabaseUnavailableError, SpoolUnavailableError
from service.lab.postgres import EmbeddedPostgres
from service.postgres import schema
from service.postgres.sessions import connect
from service.usecases.events.batches import Batches
from service.web.services import services_of
from tests import records
from tests.records import columns, created, deliver, dispositions, failed, open_engine, row, rows, submit, until
from tests.webhook_process import Web, opened_web

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine

AT_ONCE = 0.3  # seconds in which nobody waits for anything but the local disk


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that these tests may treat as they like."""
    # Not under pytest's own directory: another run of pytest locks out the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="cobalt-outage-", ignore_cleanup_errors=True) as directory:
        server = EmbeddedPostgres(Path(directory), settings={"fsync": "off", "max_connections": "20"})
        try:
            server.start()
            server.create_database("original")
            schema.upgrade(server.url("original"))
            yield server
        finally:
            server.stop()


@pytest.fixture
def database(server: EmbeddedPostgres) -> Iterator[str]:
    server.start()
    server.create_database("service", template="original", strategy="file_copy")
    yield server.url("service")
    server.thaw()
    server.start()
    server.drop_database("service")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with open_engine(database) as engine:
        yield engine


APPLIED = (200, "applied")
SPOOLED = (202, "spooled")
QUARANTINED = (202, "quarantined")


@pytest.fixture
def open_web(database: str, tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Opens web processes of one host."""
    with ExitStack() as unwind:
        yield lambda **environment: unwind.enter_context(opened_web(database, tmp_path / "spool", **environment))


@pytest.fixture
def web(open_web: Callable[..., Web]) -> Web:
    """A web process that has its connections, as one that runs for a while has."""
    web = open_web()
    assert web.take(created("evt_warm", "nobodys")) == [(200, "unmatched")]
    return web


@contextmanager
def stopped(server: EmbeddedPostgres, _: str) -> Iterator[None]:
    server.stop()
    yield
    server.start()


@contextmanager
def killed(server: EmbeddedPostgres, _: str) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def frozen(server: EmbeddedPostgres, _: str) -> Iterator[None]:
    server.freeze()
    yield
    server.thaw()


@contextmanager
def out_of_connections(_: EmbeddedPostgres, database: str) -> Iterator[None]:
    with ExitStack() as unwind:
        control = unwind.enter_context(connect(database, autocommit=True))
        control.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        while True:
            try:
                unwind.enter_context(connect(database))
            except psycopg.OperationalError:
                break
        yield


@contextmanager
def refusing_this_database(server: EmbeddedPostgres, _: str) -> Iterator[None]:
    with connect(server.url(), autocommit=True) as control:
        control.execute("ALTER DATABASE service ALLOW_CONNECTIONS false")
        control.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'service'")
        yield
        control.execute("ALTER DATABASE service ALLOW_CONNECTIONS true")


@contextmanager
def read_only(_: EmbeddedPostgres, database: str) -> Iterator[None]:
    with connect(database, autocommit=True) as control:
        control.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        control.execute("SELECT pg_reload_conf()")
        until(lambda: _shows_read_only(database))
        yield
        control.execute("SET default_transaction_read_only = off")
        control.execute("ALTER SYSTEM RESET default_transaction_read_only")
        control.execute("SELECT pg_reload_conf()")
        until(lambda: not _shows_read_only(database))


def _shows_read_only(database: str) -> bool:
    with connect(database) as connection:
        return connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


if TYPE_CHECKING:
    Outage = Callable[[EmbeddedPostgres, str], AbstractContextManager[None]]
OUTAGES = (stopped, killed, frozen, out_of_connections, refusing_this_database, read_only)


@pytest.mark.parametrize("outage", OUTAGES)
def test_what_comes_during_an_outage_is_spooled_at_once_and_applied_afterwards(
    server: EmbeddedPostgres, database: str, engine: Engine, web: Web, outage: Outage
) -> None:
    first, second, third = submit(engine, "1", "2", "3")
    engine.dispose()

    with outage(server, database):
        assert web.take(created("evt_1", "1")) == [SPOOLED]
        assert web.timed(failed("evt_2", "2")) < AT_ONCE
        assert web.timed(created("evt_1", "1")) < AT_ONCE
        assert web.timed(b"unreadable") < AT_ONCE
        with pytest.raises(DatabaseUnavailableError):
            services_of(web.app).drainer.run_once()
        assert web.depth == 4
    web.drain()

    assert dispositions(engine) == {"evt_1": "applied", "evt_2": "applied", "evt_warm": "unmatched"}
    assert [row(engine, one)["status"] for one in (first, second, third)] == ["created", "failed", "processing"]
    assert [delivery["source"] for delivery in rows(engine, "deliveries")] == ["webhook", "spool", "spool", "spool"]
    [unread] = rows(engine, "quarantine")
    assert columns(unread, "raw", "source") == (b"unreadable", "spool")
    assert web.take(created("evt_3", "3")) == [APPLIED]


def test_a_process_that_starts_during_an_outage_takes_events_too(
    server: EmbeddedPostgres, engine: Engine, open_web: Callable[..., Web]
) -> None:
    submit(engine, "1")
    server.kill()
    web = open_web()

    assert web.take(created("evt_1", "1")) == [SPOOLED]
    server.start()
    web.drain()

    assert dispositions(engine) == {"evt_1": "applied"}


def test_many_at_once_are_taken_within_the_budget_when_postgresql_hangs(
    server: EmbeddedPostgres, engine: Engine, web: Web
) -> None:
    ids = [str(number) for number in range(40)]
    submit(engine, *ids)

    server.freeze()
    answers = web.take_at_once(*(created(f"evt_{one}", one) for one in ids))
    server.thaw()
    web.drain()

    assert answers == [SPOOLED] * 40
    assert {found["status"] for found in rows(engine, "appointments")} == {"created"}


def test_what_was_spooled_is_drained_by_another_process_of_the_host(
    server: EmbeddedPostgres, engine: Engine, web: Web, open_web: Callable[..., Web]
) -> None:
    submit(engine, "1")
    server.kill()
    assert web.take(created("evt_1", "1")) == [SPOOLED]
    server.start()

    open_web().drain()

    assert web.depth == 0
    assert dispositions(engine)["evt_1"] == "applied"


@contextmanager
def locked(database: str, appointment_id: str) -> Iterator[None]:
    """Hold one row as a person with an open transaction does."""
    with connect(database) as other:
        other.execute("SELECT 1 FROM appointments WHERE id = %s FOR UPDATE", [appointment_id])
        yield
        other.rollback()


def test_a_stuck_row_holds_up_only_its_own_events(database: str, engine: Engine, web: Web) -> None:
    stuck, _ = submit(engine, "1", "2")

    with locked(database, stuck):
        assert web.take(created("evt_1", "1")) == [SPOOLED]
        assert web.take(created("evt_2", "2")) == [APPLIED]
    web.drain()

    assert dispositions(engine)["evt_1"] == "applied"


def test_a_spooled_event_of_a_stuck_row_lets_those_behind_it_through(
    server: EmbeddedPostgres, database: str, engine: Engine, web: Web
) -> None:
    ids = [str(number) for number in range(8)]
    stuck, *_ = submit(engine, *ids)
    server.kill()
    assert web.take(*(created(f"evt_{one}", one) for one in ids)) == [SPOOLED] * 8
    server.start()
    until(lambda: _answers(database))

    with locked(database, stuck):
        until(lambda: _drained_to(web, 1))
        assert {one for one, what in dispositions(engine).items() if what == "applied"} == {
            f"evt_{one}" for one in ids[1:]
        }
    web.drain()

    assert dispositions(engine)["evt_0"] == "applied"


def _answers(database: str) -> bool:
    try:
        connect(database).close()
    except psycopg.OperationalError:
        return False
    return True


def _drained_to(web: Web, depth: int) -> bool:
    try:
        services_of(web.app).drainer.run_once()
    except DatabaseUnavailableError:
        return False
    return web.depth == depth


def test_a_slow_statement_does_not_hold_a_webhook(database: str, engine: Engine, web: Web) -> None:
    submit(engine, "1", "2")
    with connect(database, autocommit=True) as control:
        control.execute(
            """CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
               CREATE TRIGGER dawdle BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION dawdle()"""
        )
        assert web.take_at_once(created("evt_1", "1"), created("evt_2", "2")) == [SPOOLED] * 2
        control.execute("DROP TRIGGER dawdle ON events")
    web.drain()

    assert dispositions(engine) == {"evt_1": "applied", "evt_2": "applied", "evt_warm": "unmatched"}


def test_nowhere_to_keep_it_is_said_so_and_taken_again_when_either_is_back(
    server: EmbeddedPostgres, engine: Engine, web: Web, tmp_path: Path
) -> None:
    submit(engine, "1")
    (tmp_path / "spool").write_text("in the way")
    server.kill()

    refused = web.post(created("evt_1", "1"))
    again = web.post(created("evt_1", "1"))
    assert [refused.status_code, again.status_code] == [503, 503]
    assert refused.headers["Retry-After"] == "1"
    assert refused.content_type == "application/problem+json"
    assert web.client.get("/readyz/webhooks").status_code == 503

    server.start()
    until(lambda: _looked_once(web))
    assert web.take(created("evt_1", "1")) == [APPLIED]


def _looked_once(web: Web) -> bool:
    """The drainer looks after PostgreSQL although the disk is broken; tells whether it found it back."""
    try:
        services_of(web.app).drainer.run_once()
    except DatabaseUnavailableError:
        return False
    except SpoolUnavailableError:
        return True
    return True


def test_more_than_may_wait_for_postgresql_goes_to_the_disk(
    server: EmbeddedPostgres, engine: Engine, open_web: Callable[..., Web]
) -> None:
    ids = [str(number) for number in range(12)]
    submit(engine, *ids)
    web = open_web(INTAKE_QUEUE="2", INTAKE_BATCH="1")
    assert web.take(created("evt_warm", "nobodys")) == [(200, "unmatched")]

    server.freeze()
    # One after the other in the queue of the door; the queue of the disk empties as fast as it fills.
    with ThreadPoolExecutor(12) as pool:
        answers = []
        for number, one in enumerate(ids):
            answers.append(pool.submit(web.take, created(f"evt_{one}", one)))
            until(lambda: sum(each.done() for each in answers) >= number - 3)  # noqa: B023  called at once
    server.thaw()
    web.drain()

    assert [answer.result() for answer in answers] == [[SPOOLED]] * 12
    assert {found["status"] for found in rows(engine, "appointments")} == {"created"}


def refuse_in_database(database: str, table: str, condition: str) -> None:
    with connect(database, autocommit=True) as control:
        control.execute(f"ALTER TABLE {table} ADD CONSTRAINT refusal CHECK ({condition}) NOT VALID")


def mend(database: str, table: str) -> None:
    with connect(database, autocommit=True) as control:
        control.execute(f"ALTER TABLE {table} DROP CONSTRAINT refusal")


def test_an_event_that_the_database_refuses_is_quarantined_and_its_neighbours_are_applied(
    server: EmbeddedPostgres,
    database: str,
    engine: Engine,
    open_web: Callable[..., Web],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    web = open_web(WEBHOOK_BUDGET="4")  # on a busy machine, to split a batch takes a while
    assert web.take(created("evt_warm", "nobodys")) == [(200, "unmatched")]
    ids = [str(number) for number in range(10)]
    submit(engine, *ids)
    refuse_in_database(database, "events", "id <> 'evt_7'")
    batches: list[int] = []
    monkeypatch.setattr(Batches, "_write_batch", _noting_sizes(batches))

    # While it hangs for a moment they gather, and share a batch.
    server.freeze()
    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(web.take, created(f"evt_{one}", one)) for one in ids]
        until(lambda: batches and _waiting() == 10 - batches[0])
        server.thaw()

    assert [answer.result()[0] for answer in answers] == [QUARANTINED if one == "7" else APPLIED for one in ids]
    assert max(batches) > 2
    [refused] = rows(engine, "quarantine")
    assert refused["raw"] == created("evt_7", "7")
    assert refused["reason"].startswith("could not be applied: ")


def _noting_sizes(sizes: list[int]) -> Callable[..., Coroutine[Any, Any, None]]:
    real = Batches._write_batch  # noqa: SLF001  nothing outside shows who shares a batch

    async def write(batches: Batches[Any, Any], batch: Sequence[Any]) -> None:
        sizes.append(len(batch))
        await real(batches, batch)

    return write


def _waiting() -> int:
    """How many wait in any queue of this process."""
    return sum(len(one._waiting) for one in gc.get_objects() if isinstance(one, Batches))  # noqa: SLF001


def test_a_spooled_event_that_the_database_refuses_is_quarantined_and_its_neighbours_are_applied(
    server: EmbeddedPostgres, database: str, engine: Engine, web: Web
) -> None:
    ids = [str(number) for number in range(10)]
    submit(engine, *ids)
    refuse_in_database(database, "events", "id <> 'evt_7'")
    server.kill()
    assert web.take(*(created(f"evt_{one}", one) for one in ids)) == [SPOOLED] * 10
    server.start()
    web.drain()

    assert [one for one, what in dispositions(engine).items() if what == "applied"] == [
        f"evt_{one}" for one in ids if one != "7"
    ]
    [refused] = rows(engine, "quarantine")
    assert columns(refused, "raw", "source") == (created("evt_7", "7"), "spool")


def test_a_database_that_refuses_even_the_bytes_has_them_on_disk_until_it_is_mended(
    database: str, engine: Engine, web: Web
) -> None:
    submit(engine, "1")
    refuse_in_database(database, "events", "id <> 'evt_1'")
    refuse_in_database(database, "quarantine", "false")

    assert web.take(created("evt_1", "1"), b"unreadable") == [SPOOLED] * 2
    with pytest.raises(Exception, match="refusal"):
        services_of(web.app).drainer.run_once()
    assert web.depth == 2
    mend(database, "events")
    mend(database, "quarantine")
    web.drain()

    assert dispositions(engine)["evt_1"] == "applied"
    assert [found["raw"] for found in rows(engine, "quarantine")] == [b"unreadable"]


def test_large_spooled_events_are_drained_although_they_are_too_much_for_one_statement(
    server: EmbeddedPostgres, engine: Engine, web: Web
) -> None:
    submit(engine, "1")
    server.kill()
    note = "x" * 900_000
    raws = [failed(f"evt_{number}", "1", note=note) for number in range(24)]
    assert web.take(*raws) == [SPOOLED] * 24
    server.start()
    web.drain()

    assert len(dispositions(engine)) == 25


def test_damage_in_the_spool_is_no_reason_to_refuse(server: EmbeddedPostgres, web: Web, tmp_path: Path) -> None:
    server.kill()
    assert web.take(b"lost to the disk") == [SPOOLED]
    spool = services_of(web.app).spool
    spool.close()
    (tmp_path / "spool" / "spool.sqlite3").write_bytes(b"garbage" * 1000)

    assert web.take(b"taken") == [SPOOLED]
    assert (spool.depth().count, spool.depth().damaged) == (1, 1)


def test_what_is_not_cobalts_is_refused_during_an_outage_too(server: EmbeddedPostgres, web: Web) -> None:
    server.kill()

    assert web.post(created("evt_1", "1"), "0" * 64).status_code == 401
    assert web.depth == 0


def test_an_event_known_to_postgresql_and_spooled_as_well_counts_once(
    server: EmbeddedPostgres, engine: Engine, web: Web
) -> None:
    [appointment_id] = submit(engine, "1")
    deliver(engine, failed("evt_1", "1"))
    server.kill()
    assert web.take(failed("evt_1", "1")) == [SPOOLED]
    server.start()
    engine.dispose()
    web.drain()

    assert columns(row(engine, appointment_id), "status", "failures") == ("failed", 1)
    assert json.loads(records.failed("evt_1", "1"))["id"] in dispositions(engine)


def test_the_door_goes_on_over_the_connection_that_it_has(web: Web, database: str) -> None:
    with connect(database, autocommit=True) as control:
        control.execute("CREATE TABLE seen AS SELECT pg_backend_pid() AS pid LIMIT 0")
        control.execute(
            "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO seen VALUES (pg_backend_pid()); RETURN NULL; END $$;"
            "CREATE TRIGGER see AFTER INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION see()"
        )
        for number in range(20):
            assert web.take(failed(f"evt_{number}", "of nobody")) == [(200, "unmatched")]
        assert control.execute("SELECT count(*), count(DISTINCT pid) FROM seen").fetchone() == (20, 1)
