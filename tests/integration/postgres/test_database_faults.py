"""What is the database's fault is not taken for an event's: the event waits on disk until the database is mended."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pytest
from psycopg import sql
from sqlalchemy.exc import IntegrityError

from service.errors import DatabaseFaultError
from service.postgres import engine as db
from service.postgres.sessions import connect
from service.telemetry import metrics
from service.usecases.events.drain_spool import INTERVAL, LONGEST_PAUSE
from service.usecases.events.replay import replay
from service.web.services import services_of
from tests.fake_cobalt import FakeCobalt, look
from tests.integration.usecases.submissions.test_asking import SETTINGS, fetched, overdue
from tests.records import created, dispositions, failed, open_engine, row, rows, submit
from tests.webhook_process import opened_web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from tests.webhook_process import Web

APPLIED = (200, "applied")
SPOOLED = (202, "spooled")
QUARANTINED = (202, "quarantined")


class Fault(NamedTuple):
    """Something wrong with a database, and what mends it."""

    sqlstate: str
    breaks: str
    mends: str


RAISE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN IF {which} THEN RAISE EXCEPTION 'broken' USING ERRCODE = '{sqlstate}'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()
"""
NO_MORE = "DROP FUNCTION refuse CASCADE"
FAULTS = {
    "a table was renamed": Fault(
        "42P01", "ALTER TABLE events RENAME TO events_gone", "ALTER TABLE events_gone RENAME TO events"
    ),
    "a column was dropped": Fault(
        "42703", "ALTER TABLE events DROP COLUMN raw", "ALTER TABLE events ADD COLUMN raw bytea"
    ),
    "a privilege was revoked": Fault(
        "42501", "REVOKE INSERT ON events FROM {role}", "GRANT INSERT ON events TO {role}"
    ),
    "the code is behind a migration": Fault(
        "23502",
        "ALTER TABLE events ADD COLUMN news text NOT NULL DEFAULT ''; ALTER TABLE events ALTER news DROP DEFAULT",
        "ALTER TABLE events DROP COLUMN news",
    ),
    **{
        sqlstate: Fault(sqlstate, RAISE.format(which="true", sqlstate=sqlstate), NO_MORE)
        for sqlstate in ("42P05", "26000", "0A000", "XX000", "XX001", "P0001", "77777")
    },
}
OF_THE_EVENT = ("22003", "22P05", "23514", "54000")


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """A role that may use the tables, and owns nothing."""
    name = f"service_{secrets.token_hex(8)}"
    given = sql.Identifier(name)
    with connect(database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {}").format(given))
        owner.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(given))
        yield name
        owner.execute(sql.SQL("DROP OWNED BY {}").format(given))
        owner.execute(sql.SQL("DROP ROLE {}").format(given))


@pytest.fixture
def service_url(server_url: str, database_url: str, role: str) -> str:
    """The database, as that role uses it; under defaults without triggers it might not use it at all."""
    url = urlsplit(server_url)._replace(path=urlsplit(database_url).path).geturl()
    return f"{url}{'&' if '?' in url else '?'}options=-c%20role%3D{role}"


@pytest.fixture
def change(database_url: str, role: str) -> Iterator[Callable[[str], None]]:
    """Does what a person with all rights does to the database."""
    with connect(database_url, autocommit=True) as owner:

        def change(statement: str) -> None:
            owner.execute(statement.replace("{role}", f'"{role}"'))

        yield change


@pytest.fixture
def engine(service_url: str) -> Iterator[Engine]:
    with open_engine(service_url) as engine:
        yield engine


@pytest.fixture
def web(service_url: str, tmp_path: Path) -> Iterator[Web]:
    with opened_web(service_url, tmp_path / "spool", WEBHOOK_BUDGET="4") as web:
        assert web.take(created("evt_warm", "nobodys")) == [(200, "unmatched")]
        yield web


def counted(sqlstate: str) -> float:
    return metrics.REGISTRY.get_sample_value("appointments_database_faults_total", {"sqlstate": sqlstate}) or 0.0


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_database_has_events_wait_on_disk_until_it_is_mended(
    engine: Engine, web: Web, change: Callable[[str], None], name: str
) -> None:
    fault = FAULTS[name]
    label = fault.sqlstate if fault.sqlstate != "77777" else "other"
    before = counted(label)
    first, second = submit(engine, "1", "2")
    change(fault.breaks)

    assert web.take(created("evt_1", "1"), failed("evt_2", "2")) == [SPOOLED] * 2
    for _ in range(2):
        with pytest.raises(DatabaseFaultError) as raised:
            services_of(web.app).drainer.run_once()
        assert raised.value.sqlstate == fault.sqlstate
    assert web.depth == 2
    assert counted(label) >= before + 3
    change(fault.mends)
    assert rows(engine, "quarantine") == []
    web.drain()

    assert [row(engine, one)["status"] for one in (first, second)] == ["created", "failed"]
    assert web.take(created("evt_3", "2")) == [APPLIED]


def test_a_missing_table_of_the_quarantine_has_unreadable_bytes_wait_on_disk(
    engine: Engine, web: Web, change: Callable[[str], None]
) -> None:
    change("ALTER TABLE quarantine RENAME TO quarantine_gone")

    assert web.take(b"unreadable") == [SPOOLED]
    change("ALTER TABLE quarantine_gone RENAME TO quarantine")
    web.drain()

    assert [found["raw"] for found in rows(engine, "quarantine")] == [b"unreadable"]


@pytest.mark.parametrize("sqlstate", OF_THE_EVENT)
def test_an_event_that_the_database_cannot_take_is_quarantined_with_the_reason(
    engine: Engine, web: Web, change: Callable[[str], None], sqlstate: str
) -> None:
    submit(engine, "1", "2")
    change(RAISE.format(which="NEW.id = 'evt_1'", sqlstate=sqlstate))

    assert web.take(created("evt_1", "1"), created("evt_2", "2")) == [QUARANTINED, APPLIED]
    [found] = rows(engine, "quarantine")
    assert found["reason"].startswith("could not be applied: ")
    assert sqlstate in found["reason"]


def test_a_fault_that_only_some_events_meet_holds_up_none_of_the_others(
    engine: Engine, web: Web, change: Callable[[str], None]
) -> None:
    ids = [str(number) for number in range(30)]
    submit(engine, *ids)
    change("ALTER TABLE events RENAME TO events_gone")
    assert web.take(*(created(f"evt_{one}", one) for one in ids)) == [SPOOLED] * 30
    change("ALTER TABLE events_gone RENAME TO events")
    change(RAISE.format(which="NEW.id IN ('evt_0', 'evt_17')", sqlstate="XX001"))

    while web.depth > 2:
        with suppress(DatabaseFaultError):  # the look took one that is refused for all
            services_of(web.app).drainer.run_once()
    assert {one for one, what in dispositions(engine).items() if what == "applied"} == {
        f"evt_{one}" for one in ids if one not in {"0", "17"}
    }
    change(NO_MORE)
    web.drain()

    assert {found["status"] for found in rows(engine, "appointments")} == {"created"}
    assert rows(engine, "quarantine") == []


def test_bytes_that_are_refused_on_every_way_hold_up_none_of_those_behind_them(
    engine: Engine, web: Web, change: Callable[[str], None]
) -> None:
    submit(engine, "1", "2", "3")
    change("ALTER TABLE events RENAME TO events_gone")
    assert web.take(*(created(f"evt_{one}", one) for one in "123")) == [SPOOLED] * 3
    change("ALTER TABLE events_gone RENAME TO events")
    change("ALTER TABLE events ADD CONSTRAINT refusal CHECK (id <> 'evt_1') NOT VALID")
    change("ALTER TABLE quarantine ADD CONSTRAINT refusal CHECK (false) NOT VALID")

    while web.depth > 1:
        with suppress(IntegrityError):  # the look took the one that is refused for all
            services_of(web.app).drainer.run_once()
    assert {found["cobalt_appointment_id"] for found in rows(engine, "appointments") if found["settled_at"]} == {*"23"}


def test_while_a_fault_lasts_the_spool_is_looked_at_less_and_less_often(
    web: Web, change: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change("ALTER TABLE events RENAME TO events_gone")
    assert web.take(created("evt_1", "1")) == [SPOOLED]
    pauses: list[float] = []

    def note(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 20:
            change("ALTER TABLE events_gone RENAME TO events")
        if len(pauses) == 23:
            raise InterruptedError

    monkeypatch.setattr("service.usecases.events.drain_spool.time.sleep", note)
    with pytest.raises(InterruptedError):
        services_of(web.app).drainer._run()  # noqa: SLF001  a loop without an end has no other way out

    looked, between = pauses[0:20:2], pauses[1:20:2]
    assert between == [min(INTERVAL * 2**number, LONGEST_PAUSE) for number in range(1, 11)]
    assert all(seconds < 2 for seconds in looked)
    assert pauses[20:] == [INTERVAL] * 3
    assert web.depth == 0


def test_a_quarantined_event_is_not_blamed_for_the_database_when_it_is_replayed(
    engine: Engine, web: Web, change: Callable[[str], None]
) -> None:
    [one] = submit(engine, "1")
    change(RAISE.format(which="true", sqlstate="22003"))
    assert web.take(created("evt_1", "1")) == [QUARANTINED]
    change(NO_MORE)
    [found] = rows(engine, "quarantine")
    change("ALTER TABLE deliveries RENAME TO deliveries_gone")

    with pytest.raises(DatabaseFaultError):
        replay(engine, found["id"])
    assert rows(engine, "quarantine") == [found]
    change("ALTER TABLE deliveries_gone RENAME TO deliveries")
    replay(engine, found["id"])

    assert row(engine, one)["status"] == "created"


def test_a_fetched_event_that_is_refused_is_quarantined_and_the_others_are_applied(
    engine: Engine, change: Callable[[str], None]
) -> None:
    one = overdue(engine, "c1", job_id="job_1")
    change(RAISE.format(which="NEW.id = 'evt_odd'", sqlstate="22003"))
    cobalt = FakeCobalt()
    cobalt.events["job_1"] = [fetched(failed("evt_odd", "c1")), fetched(created("evt_1", "c1"))]

    look(engine, SETTINGS, cobalt)

    assert row(engine, one)["status"] == "created"
    [found] = rows(engine, "quarantine")
    assert (found["source"], b"evt_odd" in found["raw"]) == ("poll", True)


def test_the_api_says_that_it_cannot_serve_now_and_the_log_says_why(
    web: Web, change: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, str]] = []
    monkeypatch.setattr(db.logger, "error", lambda _, **fields: told.append(fields))
    monkeypatch.setattr(db, "_told", {})
    change("ALTER TABLE api_keys RENAME TO api_keys_gone")

    answers = [web.client.get("/v1/appointments", headers={"Authorization": "Bearer cak_none"}) for _ in range(3)]

    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in answers} == {(503, "1")}
    assert told == [{"sqlstate": "42P01", "problem": "UndefinedTable"}]
