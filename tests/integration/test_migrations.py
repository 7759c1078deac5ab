"""Bringing the schema up to date: of a database with rows, and by two deployments at the same time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from service import schema
from service.db import transaction
from service.store import changes
from tests.counting import assert_true
from tests.records import created, deliver, failed, open_engine, row, rows, submit, wait_for_the_others

LOCK = "hashtextextended('cobalt-appointments migrations', 0)"
WAITING = """SELECT count(*) FROM pg_locks
  WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database
  WHERE datname = current_database())"""


def test_a_second_deployment_waits_for_the_first_however_long_that_takes(empty_database_url: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(empty_database_url, autocommit=True) as first:
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
