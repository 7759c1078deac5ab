"""Reads from a real streaming replica: how old they say they are, and what happens when it lags, lies or dies."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from service.postgres.queries import appointment_views
from service.postgres.sessions import connect
from service.usecases.access.api_keys import create_key
from service.web.app import create_app
from service.web.services import services_of
from tests.integration.web.conftest import BODY, environment_for
from tests.records import until
from tests.settings import settings_from
from tests.standby import Pair, opened_pair
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg
    from flask import Flask

    from tests.integration.web.conftest import Answer

URL = "/v1/appointments"
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with opened_pair() as pair:
        yield pair


@pytest.fixture
def make(pair: Pair, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Makes web processes that share the pair."""
    pair.resume()
    pair.catch_up()
    urls = {"READ_DATABASE_URL": pair.standby.url(), "READ_AFTER_WRITE": "600"}

    with ExitStack() as stack:

        def made(**environment: str) -> Flask:
            app = create_app(settings_from(**environment_for(pair.primary.url(), tmp_path) | urls | environment))
            stack.callback(services_of(app).close)
            return app

        yield made


class Caller:
    """One API key at one web process."""

    def __init__(self, app: Flask, key: str | None = None, scopes: tuple[str, ...] = ("read", "write")) -> None:
        self.app = app
        self.client = client_of(app)
        self.key = key or create_key(services_of(app).engine, name="test", scopes=scopes, expires_in=None)

    def ask(self, method: str = "GET", path: str = URL, **rest: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.client.open(path, method=method, headers=headers, **rest)

    def write(self) -> str:
        answer = self.ask("POST", json=BODY)
        assert answer.status_code == 202, answer.text
        made: str = answer.json["id"]
        return made

    def sees(self, appointment_id: str) -> bool:
        status: int = self.ask(path=f"{URL}/{appointment_id}").status_code
        return status == 200


def reader_of(app: Flask, pair: Pair) -> Caller:
    """A caller whose use is noted, and whom the replica answers."""
    reader = Caller(app)
    assert reader.ask().status_code == 200
    pair.catch_up()
    until(lambda: reader.ask().status_code == 200 and is_used(app))
    return reader


def is_used(app: Flask) -> bool:
    replica = services_of(app).replica
    return replica is not None and replica.in_use


def as_of(answer: Answer) -> datetime:
    assert answer.headers["As-Of"].endswith("Z")
    return datetime.fromisoformat(answer.headers["As-Of"])


def test_a_reader_gets_the_state_of_the_replica_and_is_told_how_old_it_is(
    make: Callable[..., Flask], pair: Pair
) -> None:
    app = make()
    reader = reader_of(app, pair)
    pair.pause()
    before = datetime.now(UTC)
    made = Caller(app).write()
    listed = reader.ask()
    assert not reader.sees(made)
    assert made not in listed.text
    assert as_of(listed) <= before

    pair.resume()
    until(lambda: reader.sees(made))
    assert as_of(reader.ask()) > before


def test_a_replica_that_has_all_there_is_answers_as_of_now(make: Callable[..., Flask], pair: Pair) -> None:
    reader = reader_of(make(), pair)
    began = datetime.now(UTC)
    assert as_of(reader.ask()) >= began


def test_who_wrote_reads_it_back_also_from_another_process(make: Callable[..., Flask], pair: Pair) -> None:
    one, other = make(), make()
    writer, bystander = Caller(one), reader_of(other, pair)
    pair.pause()
    made = writer.write()
    assert writer.sees(made)
    elsewhere = Caller(other, writer.key)
    assert elsewhere.sees(made)
    assert made in elsewhere.ask().text
    assert not bystander.sees(made)


def test_a_write_is_noted_once_a_second_and_only_beside_a_replica(make: Callable[..., Flask], pair: Pair) -> None:
    def noted() -> list[Any]:
        with connect(pair.primary.url()) as connection:
            return connection.execute("SELECT name, wrote_at FROM api_keys WHERE wrote_at IS NOT NULL").fetchall()

    with connect(pair.primary.url(), autocommit=True) as connection:
        connection.execute("DELETE FROM api_keys")
    lonely = make(READ_DATABASE_URL="")
    Caller(lonely).write()
    assert noted() == []
    writer = Caller(make())
    writer.write()
    ((_, first),) = noted()
    for _ in range(3):
        writer.write()
    ((_, later),) = noted()
    assert later == first or (later - first).total_seconds() >= 1


def test_a_replica_that_is_too_far_behind_is_not_used(make: Callable[..., Flask], pair: Pair) -> None:
    app = make(READ_AFTER_WRITE="1")
    reader, writer = reader_of(app, pair), Caller(app)
    pair.pause()
    until(lambda: reader.sees(writer.write()))
    answer = reader.ask()
    assert (datetime.now(UTC) - as_of(answer)).total_seconds() < 0.5


def test_a_replica_that_hears_nothing_does_not_pass_for_fresh(make: Callable[..., Flask], pair: Pair) -> None:
    app = make()
    reader = reader_of(app, pair)
    pair.cut_off()
    try:
        received, replayed = "pg_last_wal_receive_lsn()", "pg_last_wal_replay_lsn()"
        assert pair.ask_standby(f"SELECT {received} IS NULL OR {received} <= {replayed}"), "it believes so"
        before = datetime.now(UTC)
        made = Caller(app).write()
        answer = reader.ask()
        assert made not in answer.text
        assert as_of(answer) <= before
    finally:
        pair.reconnect()
    until(lambda: reader.sees(made))


def test_without_its_replica_the_primary_answers_at_once(make: Callable[..., Flask], pair: Pair) -> None:
    app = make()
    reader = reader_of(app, pair)
    pair.standby.kill()
    try:
        made = Caller(app).write()
        assert reader.sees(made)
    finally:
        pair.standby.start()
    pair.catch_up()


def test_a_frozen_replica_costs_one_reader_a_moment_and_the_others_nothing(
    make: Callable[..., Flask], pair: Pair
) -> None:
    app = make()
    reader = reader_of(app, pair)
    pair.standby.freeze()
    try:
        began = time.monotonic()
        assert reader.ask().status_code == 200
        first = time.monotonic() - began
        for _ in range(20):
            assert reader.ask().status_code == 200
        assert first < 4
        assert time.monotonic() - began - first < 2
    finally:
        pair.standby.thaw()


def test_a_read_that_a_replica_breaks_off_is_done_again_on_the_primary(
    make: Callable[..., Flask], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make()
    made = Caller(app).write()
    reader = reader_of(app, pair)
    read = appointment_views.get_appointment
    asked = []

    def broken_off(connection: psycopg.Connection[Any], appointment_id: str) -> Any:  # noqa: ANN401
        (on_replica,) = connection.execute("SELECT pg_is_in_recovery()").fetchone() or (None,)
        asked.append(on_replica)
        if on_replica:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return read(connection, appointment_id)

    monkeypatch.setattr(appointment_views, "get_appointment", broken_off)
    assert reader.sees(made)
    assert asked == [True, False]


def test_a_server_that_is_no_replica_is_not_taken_for_one(make: Callable[..., Flask], pair: Pair) -> None:
    app = make(READ_DATABASE_URL=pair.primary.url())
    began = datetime.now(UTC)
    answer = Caller(app).ask()
    assert answer.status_code == 200
    assert as_of(answer) >= began


def test_a_revoked_key_is_refused_from_the_next_request_on(make: Callable[..., Flask], pair: Pair) -> None:
    reader = reader_of(make(), pair)
    with connect(pair.primary.url(), autocommit=True) as connection:
        connection.execute("UPDATE api_keys SET revoked_at = now()")
    assert reader.ask().status_code == 401


def test_without_a_replica_every_read_is_as_of_now(make: Callable[..., Flask]) -> None:
    app = make(READ_DATABASE_URL="")
    began = datetime.now(UTC)
    caller = Caller(app)
    made = caller.write()
    for path in (URL, f"{URL}/{made}", f"{URL}/{made}/timeline"):
        assert as_of(caller.ask(path=path)) >= began


def test_everything_that_may_be_slightly_old_is_read_there_and_recorded_on_the_primary(
    make: Callable[..., Flask], pair: Pair
) -> None:
    app = make()
    made = Caller(app).write()
    seer = Caller(app, scopes=("read", "phi", "ops"))
    pair.catch_up()
    until(lambda: seer.ask().status_code == 200 and is_used(app))
    pair.pause()
    unseen = Caller(app).write()
    paths = (URL, f"{URL}/{made}", f"{URL}/{made}/timeline", "/v1/stats", "/v1/changes", "/v1/events")
    before = datetime.now(UTC)
    for path in paths:
        answer = seer.ask(path=path)
        assert answer.status_code == 200, path
        assert unseen not in answer.text, path
        assert as_of(answer) <= before, path
        if "as_of" in answer.json:
            assert datetime.fromisoformat(answer.json["as_of"]) <= before
    with connect(pair.primary.url()) as connection:
        read = connection.execute("SELECT operation FROM phi_reads WHERE %s = ANY(record_ids)", [made]).fetchall()
    assert len(read) >= 4


def test_who_waits_for_news_finds_them_on_the_primary(make: Callable[..., Flask], pair: Pair) -> None:
    app = make()
    reader = reader_of(app, pair)
    pair.pause()
    made = Caller(app).write()
    assert not reader.sees(made)
    headers = {"Authorization": f"Bearer {reader.key}", "Prefer": "wait=0"}
    assert reader.client.get(f"{URL}/{made}", headers=headers).status_code == 200
