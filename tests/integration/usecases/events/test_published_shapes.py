"""An outcome whose webhook was lost is learned from a row of Cobalt's events, in every shape that was published."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.cobalt import Accepted, Cobalt
from service.domain.arrivals import Arrival, Source
from service.domain.events import event_from
from service.lab.sandbox.settings import ERROR_SHAPES, ROW_SHAPES
from service.postgres.engine import transaction
from service.postgres.models import Appointment
from service.postgres.queries import appointments, events
from service.usecases.events.apply_events import apply
from service.usecases.submissions.ask_cobalt import Asker
from service.usecases.submissions.submit import Submitter
from tests.e2e.test_sandbox import CALLER, Receiver, running
from tests.records import (
    ACCOUNT,
    NOON,
    accepted,
    answer,
    ask,
    begin_correction,
    claim,
    columns,
    created,
    deliver,
    dispositions,
    failed,
    row,
    rows,
    submit,
)
from tests.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from service.config import Settings
    from service.domain.states import Disposition
    from tests.e2e.test_sandbox import Sandbox

LATER = ("--reply-shape", "top-level", "--webhook-shape", "later")


def calling(sandbox: Sandbox) -> Settings:
    return settings_from(
        COBALT_ACCOUNT=ACCOUNT,
        COBALT_ACCESS_TOKEN="token_1",
        COBALT_BASE_URL=f"{sandbox.http.base_url}/v1".replace("//v1", "/v1"),
        COBALT_CLIENT_ID="ci",
        COBALT_CLIENT_SECRET="cs",
        ASK_RATE="1000",
    )


def submit_all(engine: Engine, settings: Settings) -> None:
    with Cobalt(settings) as client:
        submitter = Submitter(engine, settings, client)
        submitter.run_once()
        submitter.finish()


def ask_about_all(engine: Engine, settings: Settings) -> None:
    """Ask about everything that waits, an hour later."""
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET sent_at = sent_at - :t, due_at = due_at - :t"),
                        {"t": timedelta(hours=1)})  # fmt: skip
    with Cobalt(settings) as client:
        asker = Asker(engine, settings, client)
        asker.run_once()
        asker.finish()


@pytest.mark.parametrize("shape", ROW_SHAPES)
@pytest.mark.parametrize("ids", ["same", "own"])
def test_a_lost_failure_ends_as_failed_with_its_category(engine: Engine, shape: str, ids: str) -> None:
    options = (*LATER, "--lose-webhook", "1", "--row-shape", shape, "--row-ids", ids)
    with running(*options) as sandbox:
        settings = calling(sandbox)
        lost = ask(engine, mrn="000000", time="10:00 am", provider="Dr. Smith")
        booked = ask(engine, time="10:00 am", provider="Dr. Smith")
        submit_all(engine, settings)
        sandbox.settle()
        ask_about_all(engine, settings)
    assert columns(row(engine, lost), "status", "failure_category", "failures", "learned_from") == (
        "failed", "patient_not_found", 1, "poll",
    )  # fmt: skip
    assert columns(row(engine, booked), "status", "discrepancies") == ("created", [])
    assert rows(engine, "quarantine") == []
    assert {one["occurred_at"] <= one["received_at"] for one in rows(engine, "events")} == {True}


@pytest.mark.parametrize("shape", ERROR_SHAPES)
def test_an_account_that_has_to_log_in_fails_nothing(engine: Engine, shape: str) -> None:
    with running("--error-shape", shape) as sandbox:
        settings = calling(sandbox)
        sandbox.http.put("/_sandbox/refused", json={"accounts": [ACCOUNT]}).raise_for_status()
        one = ask(engine)
        submit_all(engine, settings)
        assert columns(row(engine, one), "status", "submission") == ("processing", "queued")
        sandbox.http.put("/_sandbox/refused", json={"accounts": []}).raise_for_status()
        with transaction(engine) as session:
            session.execute(text("UPDATE account_health SET probe_at = now()"))
        submit_all(engine, settings)
        assert row(engine, one)["submission"] == "accepted"
        refused = ask(engine, type=" ")
        submit_all(engine, settings)
    assert columns(row(engine, refused), "status", "failure_category") == ("failed", "rejected_by_cobalt")
    assert row(engine, refused)["failure"]["reason"] == "type is required"


def test_what_ehr_sync_tells_of_an_appointment_is_read(engine: Engine) -> None:
    receiver = Receiver()
    try:
        with running("--foreign-events", "1", "--staff-shape", "sync", "--webhook-url", receiver.url) as sandbox:
            sandbox.create()
            arrived = [one for one in receiver.wait_for(2) if b"patient_mrn" in one.body]
    finally:
        receiver.close()
    [told] = arrived
    deliver(engine, told.body)
    [event] = rows(engine, "events")
    data: dict[str, Any] = json.loads(told.body)["data"]
    assert columns(event, "disposition", "cobalt_appointment_id", "mrn") == ("unmatched", data["id"], "STAFF-1")


def test_the_sandbox_gives_its_events_page_by_page() -> None:
    with running(*LATER, "--row-shape", "c") as sandbox:
        for _ in range(5):
            sandbox.create()
        sandbox.settle()
        first = sandbox.get("/v1/webhook-events", page_size="2", sort="created_at")
        last = sandbox.get("/v1/webhook-events", page_size="2", sort="created_at", page="3")
        none = sandbox.get("/v1/webhook-events", start_date="2000-01-01", end_date="2000-01-02")
        refused = [
            sandbox.http.get("/v1/webhook-events", params=asked, headers=CALLER).status_code
            for asked in ({"page_size": "101"}, {"page": "0"}, {"sort": "id"}, {"start_date": "1.1.2025"})
        ]
    assert first["pagination"] == {"current_page": 1, "total_pages": 3, "total_count": 5, "page_size": 2}
    assert [len(page["webhook_events"]) for page in (first, last)] == [2, 1]
    assert first["webhook_events"][0]["created"] <= last["webhook_events"][0]["created"]
    assert none["webhook_events"] == []
    assert refused == [400] * 4


FAILURE = {"failure_reason": "Patient MRN '123456789' not found in eCW."}
NOTICED = ("status", "failure_category", "failures", "version", "settled_at", "updated_at", "learned_from", "failure")


def as_row(raw: bytes, event_id: str) -> dict[str, Any]:
    """Write an event as shape B has it, under an id of the row's own."""
    event = json.loads(raw)
    return {
        "event_id": event_id,
        "event_type": event["type"],
        "created_at": event["created"],
        "access_token_reference_id": event["access_token_reference_id"],
        "webhook_url": "https://example.com/webhooks/cobalt",
        "delivery_status": "failed",
        "data": event["data"],
    }


def fetch(engine: Engine, *rows_of_events: dict[str, Any]) -> list[Disposition]:
    now = datetime.now(UTC)
    return apply(engine, [Arrival(event_from(one, received_at=now), Source.POLL, now) for one in rows_of_events])


@pytest.mark.parametrize("write", [failed, created])
@pytest.mark.parametrize("row_id", ["a_row", "z_row"])  # the event's own id lies between the two
@pytest.mark.parametrize("first", ["the webhook", "the row"])
def test_one_outcome_under_two_ids_changes_nothing_and_counts_once(
    engine: Engine, write: Callable[..., bytes], row_id: str, first: str
) -> None:
    [one] = submit(engine, "c1")
    raw = write("evt_1", "c1", 1, **(FAILURE if write is failed else {}))
    steps = [lambda: deliver(engine, raw), lambda: fetch(engine, as_row(raw, row_id))]
    if first == "the row":
        steps.reverse()
    assert steps[0]() == ["applied"]
    before = columns(row(engine, one), *NOTICED)
    assert steps[1]() == ["superseded"]
    assert columns(row(engine, one), *NOTICED) == before
    assert before[2] == (write is failed)
    assert sorted(dispositions(engine).values()) == ["applied", "superseded"]
    told_first, told_again = ("evt_1", row_id) if first == "the webhook" else (row_id, "evt_1")
    assert {found["id"]: found["repeats"] for found in rows(engine, "events")} == {
        told_first: None, told_again: told_first,
    }  # fmt: skip


def test_one_failure_under_two_ids_is_one_conflict_whenever_it_comes(engine: Engine) -> None:
    ids = submit(engine, "c1", "c2", "c3")
    for cobalt_id, order in zip(("c1", "c2", "c3"), ("frb", "bfr", "rbf"), strict=True):
        raw = failed(f"evt_{cobalt_id}", cobalt_id, 1, **FAILURE)
        for step in order:
            if step == "f":
                deliver(engine, raw)
            elif step == "r":
                fetch(engine, as_row(raw, f"row_{cobalt_id}"))
            else:
                deliver(engine, created(f"booked_{cobalt_id}", cobalt_id, 2))
    assert [columns(row(engine, one), "status", "failures") for one in ids] == [("created", 1)] * 3


def test_two_ids_of_one_outcome_that_came_before_the_reply_count_once(engine: Engine) -> None:
    one = ask(engine)
    call = claim(engine)[one]
    raw = failed("evt_1", "c1", 1, **FAILURE)
    assert deliver(engine, raw) + fetch(engine, as_row(raw, "row_1")) == ["unmatched"] * 2
    assert answer(engine, call, accepted("c1")) == "accepted"
    assert columns(row(engine, one), "status", "failures", "failure_category") == ("failed", 1, "patient_not_found")


@pytest.mark.parametrize("row_id", ["a_row", "z_row"])
def test_both_ids_in_one_batch_count_once(engine: Engine, row_id: str) -> None:
    [one] = submit(engine, "c1")
    raw = failed("evt_1", "c1", 1, **FAILURE)
    answers = fetch(engine, as_row(raw, row_id), json.loads(raw))
    assert sorted(answers) == ["applied", "superseded"]
    assert columns(row(engine, one), "status", "failures") == ("failed", 1)


def test_the_next_attempt_may_fail_as_the_one_before(engine: Engine) -> None:
    [one] = submit(engine, "c1")
    deliver(engine, failed("evt_1", "c1", 1, **FAILURE))
    begin_correction(engine, one)
    assert answer(engine, claim(engine)[one], Accepted("c1", None, NOON + timedelta(minutes=5))) == "accepted"
    raw = failed("evt_2", "c1", 6, **FAILURE)
    assert deliver(engine, raw) == ["applied"]
    assert fetch(engine, as_row(raw, "row_2")) == ["superseded"]
    assert columns(row(engine, one), "status", "failures", "attempt") == ("failed", 1, 2)


def test_what_is_compared_does_not_grow_with_every_repeat(engine: Engine) -> None:
    [one] = submit(engine, "c1")
    for numbers in ([0], range(1, 50)):
        deliver(engine, *(failed(f"evt_{n}", "c1", minutes=n, failure_reason="All the same") for n in numbers))
    deliver(engine, failed("evt_other", "c1", minutes=7))
    with transaction(engine) as session:
        locked = appointments.as_locked(session.get_one(Appointment, one))
        judged = events.find_judged(session, locked)
    # Each of the two sayings as it came first, and what the status rests on.
    assert {event.id for event in judged} == {"evt_0", "evt_49", "evt_other"}
    assert columns(row(engine, one), "failures", "ruling_event_id") == (2, "evt_49")
