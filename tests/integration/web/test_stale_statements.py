"""A statement that PostgreSQL was given ahead of time may go stale, and nobody gets to feel that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from service.postgres.sessions import connect
from tests.integration.web.conftest import BODY, Api
from tests.records import created, failed, open_engine, submit, until
from tests.webhook_process import opened_web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.webhook_process import Web

URL = "/v1/appointments"
COLUMNS = ("api_keys.name", "appointments.provider")
ROUNDS = 7
"""Of calls between two changes; a driver may prepare what it is told for the sixth time."""

MEDDLE = """
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE '%s'; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER meddle AFTER INSERT ON deliveries DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.event_id = 'evt_2') EXECUTE FUNCTION meddle()
"""


@pytest.fixture
def web(database_url: str, tmp_path: Path) -> Iterator[Web]:
    with opened_web(database_url, tmp_path / "spool") as web:
        yield web


def test_no_call_fails_while_the_types_of_columns_change_under_load(web: Web, database_url: str) -> None:
    with open_engine(database_url) as engine, connect(database_url, autocommit=True) as control:
        api, numbers, ended = Api(web.client, engine), count(), Event()
        ids = submit(engine, *(f"c_{number}" for number in range(5)))
        answered: dict[str, int] = {}
        calls: dict[str, Callable[[], Any]] = {
            "list": lambda: api.get(URL),
            "one": lambda: api.get(f"{URL}/{ids[0]}"),
            "stats": lambda: api.get("/v1/stats"),
            "changes": lambda: api.get("/v1/changes"),
            "write": lambda: api.post(BODY),
            "webhook": lambda: web.post(created(f"evt_{next(numbers)}", "c_1")),
        }

        def keep_calling(name: str) -> set[int]:
            codes = set()
            while not ended.is_set():
                codes.add(calls[name]().status_code)
                answered[name] = answered.get(name, 0) + 1
            return codes

        def everyone_goes_on() -> None:
            before = dict(answered)
            until(lambda: all(answered.get(name, 0) >= before.get(name, 0) + ROUNDS for name in calls), 60)

        with ThreadPoolExecutor(len(calls)) as pool:
            running = {name: pool.submit(keep_calling, name) for name in calls}
            try:
                for kind in ("varchar(300)", "text"):
                    for column in COLUMNS:
                        everyone_goes_on()
                        table, name = column.split(".")
                        control.execute(f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {kind}")
                everyone_goes_on()
            finally:
                ended.set()
        found = {(name, code) for name, codes in running.items() for code in codes.result()}
        assert {(name, code) for name, code in found if code >= 500} == set()


@pytest.mark.parametrize("meanwhile", ["DEALLOCATE ALL", "PREPARE door_hurry AS SELECT 1"])
def test_the_door_takes_an_event_whose_statements_were_lost_or_there_already(
    web: Web, database_url: str, meanwhile: str
) -> None:
    with open_engine(database_url) as engine:
        submit(engine, "c_1", "c_2")
        assert web.take(failed("evt_1", "c_1")) == [(200, "applied")]
        with connect(database_url, autocommit=True) as control:
            # When the next event is committed, in the door's own session.
            control.execute(MEDDLE % meanwhile)

        assert web.take(failed("evt_2", "c_2")) == [(200, "applied")]
        assert web.take(created("evt_3", "c_2"), created("evt_4", "of nobody")) == [
            (200, "applied"),
            (200, "unmatched"),
        ]
        assert web.depth == 0
