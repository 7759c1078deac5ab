"""That an event is of another account is shown, and what it says to nobody who looks at the appointment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.usecases.events.dismiss_event import dismiss_event
from tests.integration.web.conftest import webhook_body
from tests.integration.web.test_events_list import URL, arrive
from tests.integration.web.test_timeline import ALICE, timeline
from tests.records import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.web.conftest import Api, Book, Ran

OPS = ("ops",)
STRANGER = "QX774100"


def foreign(kind: str, event_id: str, cobalt_id: str = "cobalt_1") -> bytes:
    """An event about a stranger, of an account that nobody knows here."""
    body = webhook_body(kind, cobalt_id, event_id=event_id, mrn=STRANGER, note=f"weeping willow of {STRANGER}")
    return body.replace(b'"clinic_1"', b'"user_9"')


def entries(api: Api, one: str) -> dict[str, Any]:
    return {entry["event_id"]: entry for entry in timeline(api, one)["data"] if "event_id" in entry}


@pytest.fixture
def one(book: Book) -> str:
    """An appointment with an outcome of another account's, and something that settles nothing."""
    one = book.accepted("cobalt_1")
    arrive(book, foreign("created", "evt_1"))
    arrive(book, foreign("updated", "evt_2"))
    return one


def test_the_timeline_says_that_it_came_and_nothing_of_what_it_says(api: Api, one: str) -> None:
    told = timeline(api, one)

    assert STRANGER not in str(told)
    assert "willow" not in str(told)
    assert told["status"] == "processing"
    assert "evt_1" in told["why"]
    shown = entries(api, one)
    assert {event_id: entry["details"]["data"] for event_id, entry in shown.items()} == {"evt_1": None, "evt_2": None}
    assert "another account" in shown["evt_1"]["summary"]
    assert "another account" in shown["evt_2"]["summary"]


def test_once_dismissed_it_waits_no_longer_and_says_no_more_than_before(api: Api, one: str) -> None:
    dismiss_event(api.engine, "evt_1", person=ALICE)

    told = timeline(api, one)
    assert STRANGER not in str(told)
    assert "evt_1" not in told["why"]
    assert entries(api, one)["evt_1"]["details"]["disposition_now"] == "ignored"
    assert [entry["kind"] for entry in told["data"]][-1:] == ["dismissed"]
    assert api.read(f"{URL}?of_another_account=true", scopes=OPS)["data"] == []


def test_the_list_of_events_tells_what_each_waits_for(api: Api, book: Book, one: str) -> None:
    arrive(book, webhook_body("created", "cobalt_7", event_id="evt_7"))
    assert one

    waiting = {each["id"]: each["waits_for"] for each in api.read(f"{URL}", scopes=OPS)["data"]}
    assert waiting == {"evt_1": "account", "evt_2": None, "evt_7": "appointment"}
    [found] = api.read(f"{URL}?of_another_account=true", scopes=OPS)["data"]
    assert (found["id"], found["account_reference"], found["appointment_id"]) == ("evt_1", "user_9", None)
    others = api.read(f"{URL}?of_another_account=false", scopes=OPS)["data"]
    assert {each["id"] for each in others} == {"evt_2", "evt_7"}


def test_stats_and_metrics_count_it_until_a_person_has_decided(api: Api, one: str) -> None:
    def counted() -> tuple[int, int]:
        stats = api.read("/v1/stats")
        return stats["unmatched"]["count"], stats["of_another_account"]["count"]

    assert counted() == (1, 1)
    until(lambda: "appointments_events_of_other_accounts 1.0" in api.client.get("/metrics").text)
    dismiss_event(api.engine, "evt_1", person=ALICE)
    assert counted() == (0, 0)
    assert one


def test_commands_put_it_right(run: Callable[..., Ran], api: Api, book: Book, one: str) -> None:
    two = book.accepted("cobalt_2")
    arrive(book, foreign("failed", "evt_3", "cobalt_2"))
    assert run("dismiss", "evt_1", "--why", "a mistake of Cobalt's").code == 0

    ran = run("accounts", "reference", "clinic_1", "user_9")

    assert (ran.code, ran.out) == (0, "1 events waited for this, and were applied\n")
    assert api.read(f"/v1/appointments/{two}")["status"] == "failed"
    assert api.read(f"/v1/appointments/{one}")["status"] == "processing"
    assert "user_9" in run("accounts", "list").out
    assert run("accounts", "reference", "clinic_7", "user_7").code == 1
    assert run("dismiss", "evt_3").code == 1
