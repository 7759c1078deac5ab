"""An outcome whose webhook was lost is learned from a row of Cobalt's events, in every shape that was published."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.cobalt import Cobalt
from service.lab.sandbox.settings import ERROR_SHAPES, ROW_SHAPES
from service.postgres.engine import transaction
from service.usecases.submissions.ask_cobalt import Asker
from service.usecases.submissions.submit import Submitter
from tests.e2e.test_sandbox import CALLER, Receiver, running
from tests.records import ACCOUNT, ask, columns, deliver, row, rows
from tests.settings import settings_from

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.config import Settings
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
