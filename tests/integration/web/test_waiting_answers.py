"""An answer that its caller waits for is one answer: counted, logged and recorded once, and made when it is due."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from service import cobalt
from service.errors import DatabaseUnavailableError
from service.postgres.queries import appointment_views
from service.web.services import services_of
from tests.integration.web.conftest import BODY, Api, work_once
from tests.records import rows, until
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Answer, Book

URL = "/v1/appointments"
WAIT = {"Prefer": "wait=1", "X-Request-Id": "the-one-that-waits"}
LONG = WAIT | {"Prefer": "wait=20"}


@contextmanager
def meanwhile(do: Callable[[], object], after: float = 0.4) -> Iterator[None]:
    """Do something while the caller waits."""
    timer = threading.Timer(after, do)
    timer.start()
    yield
    timer.join()


@pytest.fixture
def requests(log_lines: Callable[[], list[dict[str, Any]]]) -> Callable[[], list[dict[str, Any]]]:
    """Returns, when called, the lines of the access log for the request that waits."""
    return lambda: [
        line for line in log_lines() if line["event"] == "request" and line["request_id"] == WAIT["X-Request-Id"]
    ]


def recorded(engine: Engine) -> list[tuple[str, list[str]]]:
    """Which operations of the request that waits were recorded, with which ids."""
    found = [one for one in rows(engine, "phi_reads") if one["request_id"] == WAIT["X-Request-Id"]]
    return [(one["operation"], one["record_ids"]) for one in found]


def settle(book: Book) -> None:
    """Have the only appointment, which was just asked for, fail."""
    until(lambda: bool(rows(book.engine, "appointments")))
    work_once(book.engine, book.settings, {BODY["mrn"]: cobalt.Accepted("settled_1", None, datetime.now(UTC))})
    book.tell("failed", "settled_1")


def test_a_read_is_logged_and_recorded_once_with_what_is_answered(
    api: Api, book: Book, engine: Engine, requests: Callable[[], list[dict[str, Any]]]
) -> None:
    one = book.accepted("waits_1")
    before = datetime.now(UTC)
    with meanwhile(lambda: book.tell("created", "waits_1")):
        answer = api.get(f"{URL}/{one}", headers=LONG)
    assert (answer.status_code, answer.json["status"]) == (200, "created")
    assert answer.headers["X-Request-Id"] == WAIT["X-Request-Id"]
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert datetime.fromisoformat(answer.headers["As-Of"]) > before + timedelta(seconds=0.4)
    [line] = requests()
    assert line["http_status"] == 200
    assert line["seconds"] < 0.4  # the wait was the caller's wish
    assert recorded(engine) == [(f"GET {URL}/<appointment_id>", [one])]


def test_what_is_answered_at_once_is_logged_and_recorded_once_too(
    api: Api, book: Book, engine: Engine, requests: Callable[[], list[dict[str, Any]]]
) -> None:
    one = book.created()
    answer = api.get(f"{URL}/{one}", headers=LONG | {"If-None-Match": '"of-long-ago"'})
    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers
    assert len(requests()) == len(recorded(engine)) == 1


def test_what_stays_as_it_is_known_is_answered_so_after_the_time(
    api: Api, book: Book, engine: Engine, requests: Callable[[], list[dict[str, Any]]]
) -> None:
    one = book.created()
    etag = api.get(f"{URL}/{one}").headers["ETag"]
    answer = api.get(f"{URL}/{one}", headers=WAIT | {"If-None-Match": etag})
    assert (answer.status_code, answer.get_data(), answer.headers["ETag"]) == (304, b"", etag)
    assert [line["http_status"] for line in requests()] == [304]
    assert len(recorded(engine)) == 1


def test_the_feed_records_what_it_shows_and_goes_on_behind_it(
    api: Api, book: Book, engine: Engine, requests: Callable[[], list[dict[str, Any]]]
) -> None:
    one = book.accepted("waits_2")
    until(lambda: bool(api.read("/v1/changes")["data"]))
    with meanwhile(lambda: book.tell("created", "waits_2")):
        answer = api.get("/v1/changes?after=now", headers=LONG)
    assert [(row["id"], row["status"]) for row in answer.json["data"]] == [(one, "created")]
    assert recorded(engine) == [("GET /v1/changes", [one])]
    assert len(requests()) == 1
    assert api.read("/v1/changes", query_string={"after": answer.json["next_cursor"]})["data"] == []


def test_a_key_without_read_waits_for_the_outcome_of_its_write(
    api: Api, book: Book, engine: Engine, requests: Callable[[], list[dict[str, Any]]]
) -> None:
    with meanwhile(lambda: settle(book)):
        answer = api.post(BODY, scopes=("write",), headers=LONG | {"Idempotency-Key": "once"})
    assert (answer.status_code, answer.json["status"]) == (202, "failed")
    assert answer.json["request"]["mrn"] != BODY["mrn"]
    assert answer.headers["Location"].endswith(answer.json["id"])
    assert answer.headers["ETag"] == api.get(f"{URL}/{answer.json['id']}", scopes=("read",)).headers["ETag"]
    assert [line["http_status"] for line in requests()] == [202]
    assert recorded(engine) == []
    again = api.post(BODY, scopes=("write",), headers={"Prefer": "wait=20", "Idempotency-Key": "once"})
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (202, answer.json, "true")
    assert len(rows(engine, "appointments")) == 1


def test_a_write_is_recorded_once_though_its_outcome_is_read_later(api: Api, book: Book, engine: Engine) -> None:
    with meanwhile(lambda: settle(book)):
        answer = api.post(BODY, headers=LONG)
    assert (answer.json["status"], answer.json["request"]["mrn"]) == ("failed", BODY["mrn"])
    assert recorded(engine) == [(f"POST {URL}", [answer.json["id"]])]


def test_waiting_is_counted_once_and_holds_no_place(
    make_app: Callable[[Settings], Flask], settings: Settings, book: Book
) -> None:
    one = book.created()
    app = make_app(replace(settings, rate_limit=6, in_flight_limit=1))
    there = Api(client_of(app), services_of(app).engine)
    beside: list[Answer] = []
    with meanwhile(lambda: beside.append(there.get(f"{URL}/{one}"))):
        answer = there.get(f"{URL}/{one}", headers=WAIT)
    assert [beside[0].status_code, answer.status_code] == [200, 200]
    assert beside[0].headers["RateLimit-Remaining"] == "4"
    assert answer.headers["RateLimit-Remaining"] == "5"
    assert there.get(f"{URL}/{one}").headers["RateLimit-Remaining"] == "3"


@pytest.mark.parametrize(
    ("error", "status"), [(DatabaseUnavailableError("it is away"), 503), (ValueError("unforeseen"), 500)]
)
def test_a_read_that_breaks_after_the_wait_is_a_problem_and_a_write_is_answered_as_done(
    error: Exception,
    status: int,
    api: Api,
    book: Book,
    engine: Engine,
    requests: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise error

    one = book.created()
    with meanwhile(lambda: monkeypatch.setattr(appointment_views, "get_appointment", broken)):
        read = api.get(f"{URL}/{one}", headers=WAIT)
    assert (read.status_code, read.content_type) == (status, "application/problem+json")
    assert [line["http_status"] for line in requests()] == [status]
    written = api.post(BODY, headers=WAIT)
    assert (written.status_code, written.json["status"]) == (202, "processing")
    assert written.headers["Location"].endswith(written.json["id"])
    assert recorded(engine) == [(f"POST {URL}", [written.json["id"]])]
