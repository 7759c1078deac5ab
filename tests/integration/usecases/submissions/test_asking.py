"""Asking Cobalt for outcomes that are overdue: by job or by list, at a pace, and through the one door."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from service.cli import cli
from service.cobalt import Cobalt, Unclear
from service.postgres.engine import transaction
from service.postgres.models import Account
from service.postgres.queries import asking
from service.usecases.submissions import slots
from service.usecases.submissions.ask_cobalt import Asker, sweep_unmatched
from service.usecases.submissions.listed import LISTED_AS_FAILED
from service.usecases.submissions.submit import Submitter
from tests.e2e.test_sandbox import running
from tests.fake_cobalt import FakeCobalt, look
from tests.records import (
    ACCOUNT,
    accepted,
    answer,
    ask,
    claim,
    columns,
    created,
    deliver,
    dispositions,
    failed,
    row,
    rows,
    until,
)
from tests.settings import REQUIRED, settings_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from service.config import Settings
    from service.postgres.queries.asking import Question
    from tests.e2e.test_sandbox import Sandbox

SETTINGS = settings_from(COBALT_ACCOUNT=ACCOUNT, COBALT_ACCESS_TOKEN="token_1", ASK_RATE="1000")
HOUR = timedelta(hours=1)
EVER = datetime(2000, 1, 1, tzinfo=UTC)


def submitted(engine: Engine, cobalt_id: str = "c1", job_id: str | None = None, **asked: Any) -> str:
    """An appointment that Cobalt took."""
    one = ask(engine, **({"provider": "Dr. Smith"} | asked))
    assert answer(engine, claim(engine)[one], accepted(cobalt_id, job_id)) == "accepted"
    return one


def pass_time(engine: Engine, span: timedelta) -> None:
    """Let time pass: what was due in so long is due now."""
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET sent_at = sent_at - :t, due_at = due_at - :t"), {"t": span})


def overdue(engine: Engine, *given: Any, **asked: Any) -> str:
    """One that has been processing for an hour."""
    one = submitted(engine, *given, **asked)
    pass_time(engine, HOUR)
    return one


def fetched(raw: bytes) -> dict[str, Any]:
    """Write an event as `GET /webhook-events` shows it [P]."""
    event: dict[str, Any] = json.loads(raw)
    return {"event_type": event.pop("type"), **event}


def entry(cobalt_id: str, **changed: Any) -> dict[str, Any]:
    """One of Cobalt's list."""
    return {
        "id": cobalt_id,
        "datetime": "2025-01-01T15:00:00.000Z",
        "status": "scheduled",
        "patient_mrn": "123456789",
        "provider_ehr_id": "emr_prov_123",
        "provider_name": "Dr. Smith",
        "created_at": datetime.now(UTC).isoformat(),
        "object_metadata": {"source": "cobalt_operation"},
    } | changed


def state(engine: Engine, appointment_id: str) -> tuple[Any, ...]:
    return columns(row(engine, appointment_id), "status", "failure_category", "ruling_event_id")


def questions(engine: Engine) -> list[Question]:
    with transaction(engine) as session:
        return asking.open_questions(session, since=EVER)


def asker(engine: Engine, cobalt: object, settings: Settings = SETTINGS) -> Asker:
    client: Any = cobalt
    return Asker(engine, settings, client)


# --- whom


def test_nothing_is_asked_about_before_cobalts_own_time_out_has_passed(engine: Engine, cobalt: FakeCobalt) -> None:
    submitted(engine)
    assert look(engine, SETTINGS, cobalt) == {"asked": 0}
    pass_time(engine, SETTINGS.ask_after - timedelta(seconds=5))
    assert look(engine, SETTINGS, cobalt) == {"asked": 0}
    pass_time(engine, SETTINGS.ask_after / 10 + timedelta(seconds=6))
    assert look(engine, SETTINGS, cobalt) == {"asked": 1}


def test_what_is_settled_or_waits_to_be_sent_is_not_asked_about(engine: Engine, cobalt: FakeCobalt) -> None:
    submitted(engine, "c1")
    submitted(engine, "c2")
    deliver(engine, created("e1", "c1"), failed("e2", "c2"))
    ask(engine)
    pass_time(engine, 24 * HOUR)
    assert look(engine, SETTINGS, cobalt) == {"asked": 0}
    assert cobalt.asked == []


# --- by job


def test_the_events_of_the_job_are_asked_for_and_settle_through_the_one_door(
    engine: Engine, cobalt: FakeCobalt
) -> None:
    one = overdue(engine, "c1", "7")
    cobalt.events["7"] = [fetched(failed("e1", "c1", failure_reason="Patient MRN '123456789' not found in eCW."))]
    look(engine, SETTINGS, cobalt)
    assert cobalt.asked == [("events", ACCOUNT, "7")]
    assert state(engine, one) == ("failed", "patient_not_found", "e1")
    assert [columns(found, "id", "source", "disposition") for found in rows(engine, "events")] == [
        ("e1", "poll", "applied")
    ]
    assert [columns(found, "source", "disposition") for found in rows(engine, "deliveries")] == [("poll", "applied")]


def test_an_event_that_is_fetched_twice_or_sent_as_well_counts_once(engine: Engine, cobalt: FakeCobalt) -> None:
    one = overdue(engine, "c1", "7")
    raw = failed("e1", "c1")
    cobalt.events["7"] = [fetched(raw), fetched(raw)]
    [question] = questions(engine)
    asked = asker(engine, cobalt)
    assert asked.ask(question) == "settled"
    before = row(engine, one)
    assert asked.ask(question) == "settled"
    deliver(engine, raw)
    assert row(engine, one) == before
    assert before["failures"] == 1
    assert [found["disposition"] for found in rows(engine, "deliveries")] == ["applied", *["duplicate"] * 2]


def test_fetched_events_that_cannot_be_read_do_no_harm(engine: Engine, cobalt: FakeCobalt) -> None:
    one = overdue(engine, "c1", "7")
    odd: list[Any] = [
        {},
        {"id": "e0"},
        {"event_type": "appointment.failed"},
        {"id": "e1", "event_type": "appointment.failed"},
        {"id": "e2", "event_type": "appointment.failed", "data": "text"},
        {"id": "x" * 300, "event_type": "appointment.failed", "data": {"appointment_id": "c1"}},
        {"id": "e3", "event_type": "appointment.failed", "data": {"appointment_id": "c1", "deep": float("nan")}},
        {"id": "e4", "event_type": "patient.updated", "data": {}},
        {"id": "e5", "event_type": "appointment.failed", "data": {"appointment_id": "another"}},
    ]
    cobalt.events["7"] = odd
    look(engine, SETTINGS, cobalt)
    assert state(engine, one) == ("processing", None, None)
    assert dispositions(engine) == {"e4": "ignored", "e5": "unmatched"}

    cobalt.events["7"] = [*odd, fetched(created("e6", "c1"))]
    pass_time(engine, HOUR)
    look(engine, SETTINGS, cobalt)
    assert state(engine, one) == ("created", None, "e6")


@pytest.mark.parametrize("knows_no_jobs", [True, False], ids=["no answer", "no events"])
def test_where_the_job_tells_nothing_the_list_is_asked(
    engine: Engine, cobalt: FakeCobalt, *, knows_no_jobs: bool
) -> None:
    one = overdue(engine, "c1", "7")
    cobalt.knows_no_jobs = knows_no_jobs
    cobalt.listed = [entry("c1")]
    look(engine, SETTINGS, cobalt)
    assert [asked[0] for asked in cobalt.asked] == ["events", "list"]
    assert state(engine, one) == ("created", None, "list_c1")


# --- by list


def test_without_a_job_the_list_is_asked(engine: Engine, cobalt: FakeCobalt) -> None:
    one = overdue(engine, "c1")
    cobalt.listed = [entry("c0", patient_mrn="42"), entry("c1")]
    look(engine, SETTINGS, cobalt)
    assert [asked[0] for asked in cobalt.asked] == ["list"]
    assert state(engine, one) == ("created", None, "list_c1")
    found = row(engine, one)
    assert found["starts_at"] == datetime(2025, 1, 1, 15, tzinfo=UTC)
    assert columns(found["confirmation"], "provider_id", "provider_name") == ("emr_prov_123", "Dr. Smith")
    assert [columns(one, "id", "source") for one in rows(engine, "events")] == [("list_c1", "poll")]


@pytest.mark.parametrize("shown", ["pending", "Processing", "queued"])
def test_what_is_listed_but_not_booked_settles_nothing(engine: Engine, cobalt: FakeCobalt, shown: str) -> None:
    one = overdue(engine, "c1")
    cobalt.listed = [entry("c1", status=shown)]
    look(engine, SETTINGS, cobalt)
    assert state(engine, one) == ("processing", None, None)


def test_what_is_listed_as_failed_fails_until_the_event_says_why(engine: Engine, cobalt: FakeCobalt) -> None:
    one = overdue(engine, "c1")
    cobalt.listed = [entry("c1", status="failed")]
    look(engine, SETTINGS, cobalt)
    failed = row(engine, one)
    assert (failed["status"], failed["failure_category"]) == ("failed", "other")
    assert failed["failure"]["reason"] == LISTED_AS_FAILED


def test_a_fetched_event_that_cannot_be_read_is_kept_in_quarantine_once(engine: Engine, cobalt: FakeCobalt) -> None:
    overdue(engine, "c1", job_id="7")
    cobalt.events = {"7": [{"id": "evt_1", "event_type": "appointment.failed"}]}
    for _ in range(2):
        look(engine, SETTINGS, cobalt)
        pass_time(engine, HOUR)
    with transaction(engine) as session:
        assert session.execute(text("SELECT source, reason FROM quarantine")).one()[0] == "poll"


def test_an_id_is_the_same_as_text_and_as_a_number(engine: Engine, cobalt: FakeCobalt) -> None:
    one = overdue(engine, "17")
    cobalt.listed = [entry("17", id=17)]
    look(engine, SETTINGS, cobalt)
    assert state(engine, one) == ("created", None, "list_17")


def test_the_real_event_takes_the_place_of_what_the_list_showed(engine: Engine, cobalt: FakeCobalt) -> None:
    one = overdue(engine, "c1")
    cobalt.listed = [entry("c1")]
    look(engine, SETTINGS, cobalt)
    deliver(engine, created("e1", "c1"))
    assert state(engine, one) == ("created", None, "e1")
    assert dispositions(engine) == {"e1": "applied", "list_c1": "superseded"}


def test_a_listed_outcome_for_another_patient_or_start_is_flagged(engine: Engine, cobalt: FakeCobalt) -> None:
    settings = settings_from(
        COBALT_ACCOUNT=ACCOUNT,
        COBALT_ACCESS_TOKEN="token_1",
        ASK_RATE="1000",
        COBALT_TIMEZONE="America/New_York",
    )
    one, other, right = overdue(engine, "c1"), overdue(engine, "c2"), overdue(engine, "c3")
    cobalt.listed = [
        entry("c1", patient_mrn="987654321"),
        entry("c2", datetime="2025-01-01T16:00:00.000Z"),
        entry("c3"),
    ]
    look(engine, settings, cobalt)
    flagged = [row(engine, found)["discrepancies"] for found in (one, other, right)]
    assert flagged == [["mrn"], ["start"], []]


def test_a_lost_failure_without_a_job_stays_unknown_and_is_asked_about_again(
    engine: Engine, cobalt: FakeCobalt
) -> None:
    """Cobalt's list shows the calendar only; nothing else can be asked then."""
    one = overdue(engine, "c1")
    for _ in range(3):
        look(engine, SETTINGS, cobalt)
        pass_time(engine, HOUR)
    assert state(engine, one) == ("processing", None, None)
    assert len(cobalt.asked) == row(engine, one)["asks"] == 3


# --- the pace


def test_the_wait_doubles_up_to_64_times_with_jitter(engine: Engine) -> None:
    for number in range(40):
        submitted(engine, f"c{number}")
    interval, now = timedelta(seconds=30), datetime.now(UTC) + HOUR
    for times in range(9):
        with transaction(engine) as session:
            claimed = asking.claim_questions(session, allowed={ACCOUNT: 100}, now=now, interval=interval)
        assert {question.asks for question in claimed} == {times + 1}
        waits = [found["due_at"] - now for found in rows(engine, "appointments")]
        first = interval * min(2**times, 64)
        assert all(first * 0.75 <= wait <= first * 1.25 for wait in waits)
        assert max(waits) - min(waits) > first * 0.2  # they do not all come back at once
        now = max(found["due_at"] for found in rows(engine, "appointments"))


def test_a_question_is_put_by_one_worker_only(engine: Engine) -> None:
    for number in range(10):
        submitted(engine, f"c{number}")
    now = datetime.now(UTC) + HOUR
    with transaction(engine) as one, transaction(engine) as other:
        first = asking.claim_questions(one, allowed={ACCOUNT: 6}, now=now, interval=HOUR)
        second = asking.claim_questions(other, allowed={ACCOUNT: 6}, now=now, interval=HOUR)
    ids = [question.appointment_id for question in first + second]
    assert (len(first), len(second), len(set(ids))) == (6, 4, 10)


class Clock(threading.Event):
    """In place of the module ``time``, and of the end that is waited for: to wait is what makes it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        assert timeout >= 0
        self.now += timeout
        return False


def test_each_account_has_a_pace_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(slots, "time", clock)
    turns = slots.Pace(2.0, clock)
    put = []
    for account in ("one", "other", "one", "one", "other"):
        turns.wait(account)
        put.append((account, clock.now - 100))
    assert put == [("one", 0), ("other", 0), ("one", 0.5), ("one", 1.0), ("other", 1.0)]
    clock.now += 60  # what was not asked meanwhile is not made up for
    for expected in (61.0, 61.5):
        turns.wait("one")
        assert clock.now - 100 == expected


def test_one_account_that_cannot_be_asked_keeps_no_other_waiting(engine: Engine, cobalt: FakeCobalt) -> None:
    with transaction(engine) as session:
        session.add(Account(name="broken", reference="ref_broken", access_token=b"not encrypted"))
    for number in range(6):
        submitted(engine, f"b{number}", account="broken")
    one = submitted(engine, "c1")
    cobalt.listed = [entry("c1")]
    pass_time(engine, HOUR)
    while look(engine, SETTINGS, cobalt)["asked"]:
        pass
    assert state(engine, one) == ("created", None, "list_c1")


# --- replies that are none


class Answers(BaseHTTPRequestHandler):
    """Answers every question 200 with the body that the test has set."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answering", (Answers,), {"body": body}))
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "body", [b"", b"<html>We will be back soon</html>", b'{"success":false,"message":"no"}', b'{"appointments":null}']
)
def test_an_answer_that_is_no_list_is_not_taken_for_an_empty_one(engine: Engine, body: bytes) -> None:
    """Or a page of some proxy would fail requests that were booked, and a person would book them again."""
    one = ask(engine)
    assert answer(engine, claim(engine)[one], Unclear("ReadTimeout")) == "unconfirmed"
    pass_time(engine, 24 * HOUR)
    with answering(body) as url:
        settings = settings_from(COBALT_ACCOUNT=ACCOUNT, COBALT_ACCESS_TOKEN="token_1", COBALT_BASE_URL=url)
        with Cobalt(settings) as client:
            asking_ = Asker(engine, settings, client)
            asking_.run_once()
            asking_.finish()
    assert columns(row(engine, one), "status", "submission", "asks") == ("processing", "unconfirmed", 1)


def test_a_list_without_entries_is_an_answer(engine: Engine) -> None:
    one = ask(engine)
    assert answer(engine, claim(engine)[one], Unclear("ReadTimeout")) == "unconfirmed"
    pass_time(engine, 24 * HOUR)
    with answering(b'{"success":true,"appointments":[],"webhook_events":[]}') as url:
        settings = settings_from(COBALT_ACCOUNT=ACCOUNT, COBALT_ACCESS_TOKEN="token_1", COBALT_BASE_URL=url)
        with Cobalt(settings) as client:
            asking_ = Asker(engine, settings, client)
            asking_.run_once()
            asking_.finish()
    assert state(engine, one)[:2] == ("failed", "submission_unconfirmed")


# --- the sweep


def test_the_sweep_applies_events_that_were_overlooked(engine: Engine) -> None:
    one = submitted(engine, "c1")
    other = submitted(engine, "c2")
    deliver(engine, created("e1", "overlooked"), created("e2", "nobody's"))
    assert sweep_unmatched(engine) == {"matched": 0}
    with transaction(engine) as session:  # no code does this: that is why it is only a sweep
        session.execute(
            text("UPDATE appointments SET cobalt_appointment_id = 'overlooked' WHERE id = :id"), {"id": one}
        )
    assert sweep_unmatched(engine) == {"matched": 1}
    assert sweep_unmatched(engine) == {"matched": 0}
    assert state(engine, one) == ("created", None, "e1")
    assert state(engine, other) == ("processing", None, None)
    assert dispositions(engine) == {"e1": "applied", "e2": "unmatched"}


# --- reconcile, over HTTP


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """It sends no webhook at all, and names the job in its reply."""
    with running("--reply-shape", "under-data", "--lose-webhook", "1") as sandbox:
        yield sandbox


@pytest.fixture
def environment(database_url: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    environment = REQUIRED | {
        "DATABASE_URL": database_url,
        "COBALT_BASE_URL": f"{sandbox.http.base_url}/v1".replace("//v1", "/v1"),
        "COBALT_CLIENT_ID": "ci",
        "COBALT_CLIENT_SECRET": "cs",
        "COBALT_ACCOUNT": ACCOUNT,
        "COBALT_ACCESS_TOKEN": "token_1",
        "ASK_RATE": "1000",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def reconcile(environment: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """Runs the command; returns its exit code and standard output."""
    assert environment

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["reconcile", *arguments], catch_exceptions=False)
        return done.exit_code, done.stdout

    return run


def submit_all(engine: Engine, environment: dict[str, str], sandbox: Sandbox) -> None:
    settings = settings_from(**environment)
    with Cobalt(settings) as client:
        submitter = Submitter(engine, settings, client)
        submitter.run_once()
        submitter.finish()
    until(lambda: sandbox.pending() == 0)


def last_line(shown: str) -> str:
    return shown.strip().splitlines()[-1]


def test_reconcile_learns_every_outcome_whose_webhook_was_lost(
    engine: Engine, sandbox: Sandbox, environment: dict[str, str], reconcile: Callable[..., tuple[int, str]]
) -> None:
    wanted = {
        ask(engine): ("created", None),
        ask(engine, mrn="000000"): ("failed", "patient_not_found"),
        ask(engine, type="Annual Wellness Visit"): ("failed", "visit_type_unavailable"),
        ask(engine, provider="Dr. Unknown"): ("failed", "provider_not_found"),
        ask(engine, location="Admin Block"): ("failed", "schedule_block"),
        ask(engine, location="Double Booked"): ("failed", "appointment_conflict"),
        ask(engine, mrn="999999"): ("failed", "gave_up"),
    }
    submit_all(engine, environment, sandbox)
    before = sandbox.get("/_sandbox/stats")

    exit_code, shown = reconcile("--dry-run")
    assert (exit_code, len([line for line in shown.splitlines() if line.startswith("appt_")])) == (0, 7)
    assert sandbox.get("/_sandbox/stats") == before
    assert {found["status"] for found in rows(engine, "appointments")} == {"processing"}

    exit_code, shown = reconcile()
    assert (exit_code, last_line(shown)) == (0, "7 settled")
    for one, expected in wanted.items():
        assert columns(row(engine, one), "status", "failure_category") == expected
    assert {found["source"] for found in rows(engine, "events")} == {"poll"}
    after = sandbox.get("/_sandbox/stats")
    assert after["event_queries"] - before["event_queries"] == 1  # they share one walk
    assert after["booked"] == before["booked"]

    assert last_line(reconcile()[1]) == "nothing to ask about"


def test_reconcile_looks_back_no_further_than_it_is_told(
    engine: Engine, environment: dict[str, str], sandbox: Sandbox, reconcile: Callable[..., tuple[int, str]]
) -> None:
    one = ask(engine)
    submit_all(engine, environment, sandbox)
    pass_time(engine, 2 * HOUR)
    assert last_line(reconcile("--since", "1h")[1]) == "nothing to ask about"
    assert last_line(reconcile("--since", "3h")[1]) == "1 settled"
    assert row(engine, one)["status"] == "created"
    with transaction(engine) as session:
        assert asking.open_questions(session, since=EVER) == []


def test_reconcile_says_how_often_cobalt_did_not_answer(
    engine: Engine, reconcile: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(engine, "c1", "7")
    submitted(engine, "c2")
    monkeypatch.setenv("COBALT_BASE_URL", "http://127.0.0.1:9/v1")
    exit_code, shown = reconcile()
    assert (exit_code, last_line(shown)) == (0, "2 no answer")
