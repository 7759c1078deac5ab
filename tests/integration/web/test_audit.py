"""Every read of unmasked patients' data is recorded before the data leaves, and the record cannot be changed."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from service.cli import cli
from service.cobalt.signing import sign
from service.postgres.engine import driver, transaction
from service.postgres.queries import api_keys
from service.postgres.queries.audit import Access
from service.postgres.sessions import connect
from tests.integration.web.conftest import BODY, WEBHOOK_SECRET, Api
from tests.records import rows
from tests.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Answer, Book

URL = "/v1/appointments"
MASKED = ("read", "write", "ops")
UNREADABLE = b'{"id":"evt_1","mrn":"987654321"'


def reads(engine: Engine) -> list[dict[str, Any]]:
    return rows(engine, "phi_reads")


def new_reads(engine: Engine, call: Callable[[], Answer], status: int = 200) -> list[tuple[str, list[str]]]:
    """Make a call; returns which operations it recorded with which ids."""
    before = len(reads(engine))
    answer = call()
    assert answer.status_code == status, answer.text
    return [(one["operation"], one["record_ids"]) for one in reads(engine)[before:]]


def quarantined(api: Api) -> str:
    api.client.post(
        "/webhooks/cobalt", data=UNREADABLE, headers={"cobalt-verification": sign(UNREADABLE, WEBHOOK_SECRET)}
    )
    found: str = api.read("/v1/quarantine", scopes=("ops",))["data"][0]["id"]
    return found


def test_a_read_is_recorded_with_who_what_when_and_by_which_request(api: Api, book: Book, engine: Engine) -> None:
    one = book.failed()
    before = len(reads(engine))

    answer = api.get(f"{URL}/{one}", scopes=("read", "phi"), headers={"X-Request-Id": "who-looked-1"})

    [found] = reads(engine)[before:]
    with transaction(engine) as session:
        [key] = [key for key in api_keys.list_keys(session) if key.scopes == ["phi", "read"]]
        now = session.scalar(text("SELECT now()"))
    assert (found["key_id"], found["reader"], found["request_id"]) == (key.id, key.name, "who-looked-1")
    assert (found["operation"], found["record_ids"]) == (f"GET {URL}/<appointment_id>", [one])
    assert (now - found["at"]).total_seconds() < 30
    assert answer.status_code == 200


def test_a_page_of_a_list_is_one_record_with_its_filters_names_and_not_their_values(
    api: Api, book: Book, engine: Engine
) -> None:
    ids = [book.failed() for _ in range(3)]
    before = len(reads(engine))
    page = api.read(f"{URL}?status=failed&account=clinic_1&limit=2")
    [found] = reads(engine)[before:]
    assert found["record_ids"] == [row["id"] for row in page["data"]] == ids[:0:-1]
    assert found["filters"] == ["status", "account"]
    assert "clinic_1" not in str(found)
    following = f"{URL}?status=failed&account=clinic_1&limit=2&cursor={page['next_cursor']}"
    assert new_reads(engine, lambda: api.get(following)) == [(f"GET {URL}", ids[:1])]


def test_what_shows_nothing_unmasked_is_not_recorded(api: Api, book: Book, engine: Engine) -> None:
    one = book.failed()
    record = quarantined(api)
    before = len(reads(engine))
    for path in (URL, f"{URL}/{one}", f"{URL}/{one}/timeline", f"/v1/quarantine/{record}", "/v1/quarantine"):
        assert api.get(path, scopes=MASKED).status_code == 200
    assert api.post(BODY, scopes=MASKED).status_code == 202
    assert api.post(None, f"{URL}/{one}/resubmit", scopes=MASKED).status_code == 202
    assert api.get(f"{URL}?status=created").json["data"] == []
    assert api.get("/v1/quarantine").status_code == 200
    assert api.get(f"{URL}/appt_unknown").status_code == 404
    assert api.post(BODY | {"mrn": ""}).status_code == 422
    assert len(reads(engine)) == before


def test_answers_of_writes_are_reads_too_and_so_is_each_answer_that_is_given_again(
    api: Api, book: Book, engine: Engine
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = new_reads(engine, lambda: api.post(BODY, headers=headers), 202)
    again = new_reads(engine, lambda: api.post(BODY, headers=headers), 202)
    assert first == again
    [(operation, [made])] = first
    assert operation == f"POST {URL}"
    assert api.read(f"{URL}/{made}")["id"] == made
    one, other = book.failed(), book.failed()
    assert new_reads(engine, lambda: api.call("PATCH", f"{URL}/{one}", json={"mrn": "1"}), 202) == [
        (f"PATCH {URL}/<appointment_id>", [one])
    ]
    assert new_reads(engine, lambda: api.post(None, f"{URL}/{other}/resubmit"), 202) == [
        (f"POST {URL}/<appointment_id>/resubmit", [other])
    ]


def test_the_content_of_the_quarantine_is_recorded(api: Api, engine: Engine) -> None:
    record = quarantined(api)
    assert new_reads(engine, lambda: api.get(f"/v1/quarantine/{record}", scopes=("ops", "phi"))) == [
        ("GET /v1/quarantine/<quarantined_id>", [record])
    ]


# What cannot be recorded is not shown.


@contextmanager
def refusing(database_url: str) -> Iterator[None]:
    with connect(database_url, autocommit=True) as control:
        control.execute("ALTER TABLE phi_reads ADD CONSTRAINT refusal CHECK (false) NOT VALID")
        try:
            yield
        finally:
            control.execute("ALTER TABLE phi_reads DROP CONSTRAINT refusal")


def test_what_cannot_be_recorded_is_not_shown(
    api: Api,
    book: Book,
    engine: Engine,
    shared_environment: dict[str, str],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    one, other = book.failed(mrn="774100999"), book.failed(mrn="774100999")
    record = quarantined(api)
    asked = BODY | {"mrn": "774100999"}
    with refusing(shared_environment["DATABASE_URL"]):
        answers = [
            api.get(URL),
            api.get(f"{URL}/{one}"),
            api.get(f"{URL}/{one}/timeline"),
            api.get(f"/v1/quarantine/{record}"),
            api.post(asked),
            api.post(asked, headers={"Idempotency-Key": "k"}),
            api.call("PATCH", f"{URL}/{one}", json={"type": "x"}),
            api.post(None, f"{URL}/{other}/resubmit"),
        ]
        assert api.get(f"{URL}/{one}", scopes=MASKED).status_code == 200
    for answer in answers:
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
        assert answer.headers["Retry-After"]
        assert "774100999" not in answer.text
        assert "987654321" not in answer.text
    assert {row["status"] for row in api.read(URL)["data"]} == {"failed"}  # nothing of the writes was done
    assert len(rows(engine, "appointments")) == 2
    lines = [line for line in log_lines() if line["event"].startswith("a read of patients' data could not be recorded")]
    assert [(line["level"], line["constraint"]) for line in lines] == [("error", "refusal")] * len(answers)


def test_a_postgresql_that_takes_no_writes_shows_nothing_unmasked(
    api: Api, book: Book, make_app: Callable[[Settings], Flask], shared_environment: dict[str, str]
) -> None:
    one = book.failed()
    url = shared_environment["DATABASE_URL"]
    url += ("&" if "?" in url else "?") + "options=-c%20default_transaction_read_only%3Don"
    app = make_app(settings_from(**shared_environment | {"DATABASE_URL": url}))
    frozen = Api(app.test_client(), api.engine)
    assert frozen.get(f"{URL}/{one}", scopes=("read", "phi")).status_code == 503
    assert frozen.get(f"{URL}/{one}", scopes=("read",)).status_code == 200


# The record stays.


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE phi_reads SET reader = 'nobody'",
        "DELETE FROM phi_reads",
        "DELETE FROM phi_reads WHERE false",
        "TRUNCATE phi_reads",
        (
            "INSERT INTO phi_reads OVERRIDING SYSTEM VALUE SELECT * FROM phi_reads"
            " ON CONFLICT (id) DO UPDATE SET reader = 'nobody'"
        ),
    ],
)
def test_the_record_can_be_neither_changed_nor_removed(api: Api, book: Book, engine: Engine, statement: str) -> None:
    book.queued()
    before = reads(engine)
    with transaction(engine) as session, pytest.raises(ProgrammingError, match="append-only"):
        session.execute(text(statement))
    assert reads(engine) == before != []
    assert api.get(URL).status_code == 200


# The command.


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def listed(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("audit", "--json", *arguments).splitlines()]


@pytest.mark.usefixtures("environment")
def test_the_command_finds_reads_by_key_record_and_time(api: Api, book: Book) -> None:
    one, other = book.failed(), book.failed()
    api.read(f"{URL}/{one}", scopes=("read", "phi"), headers={"X-Request-Id": "who-looked-1"})
    api.read(f"{URL}?limit=1", scopes=("phi", "read", "ops"))

    everything = listed()
    assert [read["at"] for read in everything] == sorted((read["at"] for read in everything), reverse=True)
    [of_one] = [read for read in listed("--appointment", one) if read["operation"].startswith("GET")]
    assert (of_one["request_id"], of_one["record_ids"]) == ("who-looked-1", [one])
    by_key = listed("--key", of_one["key_id"])
    assert [read["request_id"] for read in by_key] == ["who-looked-1"]
    assert listed("--key", of_one["reader"]) == everything
    assert [read["record_ids"] for read in everything[:1]] == [[other]]
    assert listed("--limit", "1") == everything[:1]
    assert listed("--since", "1h") == listed("--from", "2020-01-01", "--to", "2999-01-01T00:00") == everything
    assert listed("--to", "2020-01-01") == listed("--from", "2999-01-01") == []


@pytest.mark.usefixtures("environment")
def test_the_table_shows_whole_ids(api: Api, book: Book) -> None:
    ids = [book.queued()["id"] for _ in range(5)]
    api.read(URL)
    shown = run("audit", "--limit", "1")
    assert all(appointment_id in shown for appointment_id in ids[:1:-1])
    assert "and 2 more" in shown
    assert f"GET {URL}" in shown
    assert run("audit", "--appointment", ids[0], "--limit", "1").count(f"GET {URL}") == 1


@pytest.mark.usefixtures("environment")
def test_who_shows_the_quarantines_content_at_the_command_line_is_recorded_too(api: Api, engine: Engine) -> None:
    record = quarantined(api)
    run("quarantine", "show", record)
    assert reads(engine) == []
    run("quarantine", "show", record, "--content")
    [found] = reads(engine)
    assert (found["operation"], found["record_ids"]) == ("quarantine show --content", [record])
    assert (found["key_id"], bool(found["reader"])) == (None, True)


@pytest.mark.usefixtures("environment")
def test_the_command_refuses_two_beginnings() -> None:
    assert CliRunner().invoke(cli, ["audit", "--since", "1h", "--from", "2030-01-01"]).exit_code == 2


def test_a_stream_records_each_page_though_its_request_is_over(engine: Engine) -> None:
    access = Access("dashboard", "GET /v1/appointments", "key_1", "req_1", ("status",))
    for page in (["appt_1", "appt_2"], [], ["appt_3"]):
        with transaction(engine) as session:
            access.record(driver(session), page)
    assert [(one["record_ids"], one["filters"]) for one in reads(engine)] == [
        (["appt_1", "appt_2"], ["status"]),
        (["appt_3"], ["status"]),
    ]
