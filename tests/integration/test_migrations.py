"""Deployments that bring the schema up to date at the same time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from service import db

LOCK = "hashtextextended('cobalt-appointments migrations', 0)"
WAITING = """SELECT count(*) FROM pg_locks
  WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database
  WHERE datname = current_database())"""


def test_a_second_deployment_waits_for_the_first_however_long_that_takes(empty_database_url: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(empty_database_url, autocommit=True) as first:
            first.execute(f"SELECT pg_advisory_lock({LOCK})")
            second = pool.submit(db.upgrade, empty_database_url)
            while first.execute(WAITING).fetchone() != (1,):
                assert not second.done()
                time.sleep(0.05)
            time.sleep(4.5)  # longer than a migration may wait for a lock
            assert not second.done()
        second.result()
    assert db.schema_differences(empty_database_url) == []
