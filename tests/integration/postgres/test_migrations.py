"""Bringing the schema up to date: of a database with rows, and by two deployments at the same time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import text

from service.postgres import schema
from service.postgres.engine import transaction
from service.postgres.queries import changes
from service.postgres.sessions import connect
from tests.counting import assert_true
from tests.records import ask, created, deliver, failed, open_engine, row, rows, submit, wait_for_the_others

MIGRATIONS = Path(schema.__file__).parents[2] / "migrations" / "versions"
LOCK = "hashtextextended('cobalt-appointments migrations', 0)"
WAITING = """SELECT count(*) FROM pg_locks
  WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database
  WHERE datname = current_database())"""


def test_a_second_deployment_waits_for_the_first_however_long_that_takes(empty_database_url: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        with connect(empty_database_url, autocommit=True) as first:
            first.execute(f"SELECT pg_advisory_lock({LOCK})")
            second = pool.submit(schema.upgrade, empty_database_url)
            while first.execute(WAITING).fetchone() != (1,):
                assert not second.done()
                time.sleep(0.05)
            time.sleep(4.5)  # longer than a migration may wait for a lock
            assert not second.done()
        second.result()
    assert schema.differences(empty_database_url) == []


def test_what_was_there_before_counts_and_can_be_followed(database_url: str) -> None:
    with open_engine(database_url) as engine:
        ids = submit(engine, "1", "2", "3")
        deliver(engine, created("evt_1", "1"), failed("evt_2", "2"), created("evt_3", "4"))
        versions = {one: row(engine, one)["version"] for one in ids}
        engine.dispose()

        schema.downgrade(database_url, "0002")
        schema.upgrade(database_url)

        assert_true(engine)
        assert rows(engine, "unmatched_counts") == [{"count": 1}]
        wait_for_the_others(engine)
        with transaction(engine) as session:
            found = changes.list_changes(session, after=None, limit=10)
        assert {one.id: one.version for one in found.rows} == versions


def before_migration(name: str) -> str:
    """Name the revision that a migration follows."""
    [path] = MIGRATIONS.glob(f"*_{name}.py")
    return f"{int(path.name[:4]) - 1:04}"


def test_mrns_that_are_there_already_are_compared_in_the_same_form(database_url: str) -> None:
    mrns = ["123456789", "A 1", "M\u00dc 42", "MU\u0308 42", " 42\u00a0"]
    with open_engine(database_url) as engine:
        for mrn in mrns:
            ask(engine, mrn=mrn)
        deliver(engine, *(created(f"evt_{number}", f"c{number}", mrn=mrn) for number, mrn in enumerate(mrns)))
        with transaction(engine) as session:  # as they were kept before
            for number, mrn in enumerate(mrns):
                session.execute(
                    text("UPDATE events SET mrn = :mrn WHERE id = :id"), {"id": f"evt_{number}", "mrn": mrn.strip()}
                )
        before = rows(engine, "appointments")
        engine.dispose()

        for _ in range(2):
            schema.downgrade(database_url, before_migration("compare_mrns_in_one_form"))
            schema.upgrade(database_url)

        assert [{**one, "changed_in": 0} for one in rows(engine, "appointments")] == [
            {**one, "changed_in": 0} for one in before
        ]
        assert {one["mrn"]: one["mrn_key"] for one in before} == {
            "123456789": None, "A 1": None, "M\u00dc 42": None, "MU\u0308 42": "M\u00dc 42", " 42\u00a0": "42"
        }  # fmt: skip
        assert [one["mrn"] for one in rows(engine, "events")] == ["123456789", "A 1", "M\u00dc 42", "M\u00dc 42", "42"]
