"""The timeline: everything in order, with its source, and why an appointment is in its state."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service import cobalt
from service.domain.arrivals import Arrival, Source
from service.domain.events import read_event
from service.postgres.engine import transaction
from service.postgres.queries.decisions import Person
from service.postgres.queries.submissions import Claim
from service.usecases.events.apply_events import apply
from service.usecases.submissions.adopt import abandon_by_hand, adopt_by_hand
from service.usecases.submissions.record_reply import record_reply
from service.usecases.submissions.submit import expire_leases
from tests.fake_cobalt import FakeCobalt, look, work
from tests.integration.web.conftest import BODY, webhook_body, work_once
from tests.records import claim

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book

LOST = cobalt.Unclear("ReadTimeout")
ALICE = Person("alice", "Looked into the EHR: patient QX-774100 is not there")


def timeline(api: Api, appointment_id: str, *scopes: str) -> Any:  # noqa: ANN401 (JSON)
    return api.read(f"/v1/appointments/{appointment_id}/timeline", scopes=scopes or ("read", "phi"))


def kinds(told: Any) -> list[str]:  # noqa: ANN401 (JSON)
    return [entry["kind"] for entry in told["data"]]


def change(engine: Engine, statement: str, **values: object) -> None:
    with transaction(engine) as session:
        session.execute(text(statement), values)


def arrive(engine: Engine, raw: bytes, source: Source, at: datetime) -> None:
    apply(engine, [Arrival(read_event(raw, received_at=at), source, at, f"req_of_the_{source.value}")])


def due_now(engine: Engine) -> None:
    change(engine, "UPDATE appointments SET due_at = now()")
    change(engine, "UPDATE account_health SET probe_at = now() WHERE health <> 'healthy'")


def test_every_try_is_told_with_what_came_of_it(api: Api, book: Book, settings: Settings) -> None:
    row = book.queued(mrn="555666777")
    for reply in (
        cobalt.NeverLeft("ConnectError"),
        cobalt.Throttled(timedelta(0)),
        cobalt.Unauthorized(401),
        cobalt.Accepted("cobalt_1", None, datetime.now(UTC), 201),
    ):
        due_now(book.engine)
        work_once(book.engine, settings, {"555666777": reply})

    told = timeline(api, row["id"])

    assert kinds(told) == ["requested", *["submission"] * 4]
    calls = [entry["details"] for entry in told["data"][1:]]
    assert [(call["try"], call["outcome"], call["http_status"], call["error"]) for call in calls] == [
        (1, "never_left", None, "ConnectError"),
        (2, "throttled", 429, None),
        (3, "unauthorized", 401, None),
        (4, "accepted", 201, None),
    ]
    for entry, call in zip(told["data"][1:], calls, strict=True):
        took = datetime.fromisoformat(call["ended_at"]) - datetime.fromisoformat(entry["at"])
        assert took.total_seconds() == call["seconds"] >= 0
    assert told["why"] == "Cobalt took it and has not told the outcome yet; it was asked 0 times."


def test_what_cobalt_refused_says_why_in_cobalts_words_masked_without_phi(api: Api, book: Book) -> None:
    refusal = cobalt.Rejected(422, "mrn 555-666-777 is not good", datetime.now(UTC))
    one = book.answered(refusal, mrn="555666777")
    told, masked = timeline(api, one), timeline(api, one, "read")
    assert told["data"][-1]["details"]["error"] == "mrn 555-666-777 is not good"
    assert masked["data"][-1]["details"]["error"] == "mrn ***77 is not good"
    assert told["why"] == masked["why"] == "Cobalt refused the request (HTTP 422)."


def test_a_call_under_way_and_one_whose_worker_was_lost_say_so(api: Api, book: Book) -> None:
    one = book.queued()["id"]
    claim(book.engine)
    told = timeline(api, one)
    assert (told["data"][-1]["details"]["outcome"], told["why"]) == (None, "A call to Cobalt is under way.")
    change(book.engine, "UPDATE appointments SET lease_until = now() - interval '1 hour'")
    expire_leases(book.engine)
    told = timeline(api, one)
    assert told["data"][-1]["details"]["outcome"] == "lost"
    assert "the worker was lost" in told["why"]


def test_the_order_is_right_though_the_clocks_of_the_machines_differ(api: Api, book: Book, settings: Settings) -> None:
    """The worker's is an hour behind the web's, and the machine of the correction is two hours ahead."""
    one = book.failed(mrn="555666777")
    assert api.call("PATCH", f"/v1/appointments/{one}", json={"type": "other"}).status_code == 202
    change(book.engine, "UPDATE submissions SET began_at = began_at - interval '1 hour'")
    change(book.engine, "UPDATE corrections SET at = at + interval '2 hours'")
    fake = FakeCobalt(replies=deque([cobalt.NeverLeft("ConnectError"), cobalt.NeverLeft("ReadError")]))
    while fake.replies:
        due_now(book.engine)
        work(book.engine, settings, fake)
    change(book.engine, "UPDATE submissions SET began_at = began_at - interval '1 hour' WHERE attempt = 2 AND try = 2")

    entries = timeline(api, one)["data"]

    assert [(entry["kind"], entry["attempt"]) for entry in entries if entry["kind"] != "event"] == [
        ("requested", 1), ("submission", 1), ("correction", 2), ("submission", 2), ("submission", 2),
    ]  # fmt: skip
    assert [entry["details"].get("try") for entry in entries if entry.get("attempt") == 2] == [None, 1, 2]


def test_everything_at_the_same_instant_is_in_the_order_in_which_it_was_caused(api: Api, book: Book) -> None:
    one = book.failed(mrn="555666777")
    assert api.post(None, f"/v1/appointments/{one}/resubmit").status_code == 202
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    for table, column in (("appointments", "created_at"), ("submissions", "began_at"), ("corrections", "at")):
        change(book.engine, f"UPDATE {table} SET {column} = :noon", noon=noon)  # noqa: S608 (constants)
    change(book.engine, "UPDATE deliveries SET received_at = :noon", noon=noon)
    for _ in range(3):
        assert kinds(timeline(api, one)) == ["requested", "submission", "resubmission", "event"]


def test_deliveries_are_told_as_they_arrived_each_with_its_source_and_disposition(api: Api, book: Book) -> None:
    one = book.accepted("cobalt_1", mrn="555666777")
    now = datetime.now(UTC)
    early = webhook_body("failed", "cobalt_1", event_id="evt_1", mrn="555666777")
    arrive(book.engine, early, Source.WEBHOOK, now)
    arrive(book.engine, webhook_body("created", "cobalt_1", event_id="evt_2"), Source.POLL, now + timedelta(seconds=9))
    arrive(book.engine, early, Source.SPOOL, now + timedelta(seconds=1))  # it came then, and was drained late
    arrive(book.engine, early, Source.REPLAY, now + timedelta(seconds=10))
    change(book.engine, "UPDATE appointments SET created_at = :then", then=now - timedelta(hours=1))
    change(book.engine, "UPDATE submissions SET began_at = :then", then=now - timedelta(hours=1))

    told = timeline(api, one)

    assert [
        (entry["kind"], entry["source"], entry["event_id"], entry["disposition"], entry["details"]["request_id"])
        for entry in told["data"][2:]
    ] == [
        ("event", "webhook", "evt_1", "applied", "req_of_the_webhook"),
        ("delivery", "spool", "evt_1", "duplicate", "req_of_the_spool"),
        ("event", "poll", "evt_2", "applied", "req_of_the_poll"),
        ("delivery", "replay", "evt_1", "duplicate", "req_of_the_replay"),
    ]
    assert told["data"][2]["summary"] == (
        "Cobalt said that it failed; the status rested on that; by now, another word of Cobalt's decides."
    )
    assert told["why"].startswith("Cobalt said in event evt_2 that it is booked. It also said 1 times")


def test_what_cobalt_tells_of_its_id_beside_the_outcome_is_there_too(api: Api, book: Book) -> None:
    one = book.accepted("cobalt_1")
    raw = webhook_body("cancelled", "cobalt_1", event_id="evt_1", patient_name="Jane Doe")
    arrive(book.engine, raw, Source.WEBHOOK, datetime.now(UTC))
    told, masked = timeline(api, one), timeline(api, one, "read")
    assert (told["data"][-1]["disposition"], told["data"][-1]["details"]["type"]) == (
        "ignored",
        "appointment.cancelled",
    )
    assert told["data"][-1]["details"]["data"] == {"appointment_id": "cobalt_1", "mrn": "123456789"}
    assert masked["data"][-1]["details"]["data"] is None
    assert masked["data"][-1]["summary"] == told["data"][-1]["summary"]


def late_acceptance(api: Api, book: Book) -> str:
    """Cobalt takes the first attempt under late_1, which is told when the second has been asked for."""
    one: str = book.queued()["id"]
    call = claim(book.engine)[one]
    change(book.engine, "UPDATE appointments SET lease_until = now() - interval '1 hour'")
    expire_leases(book.engine)
    abandon_by_hand(book.engine, one, person=ALICE)
    assert api.post(None, f"/v1/appointments/{one}/resubmit").status_code == 202
    taken = cobalt.Accepted("late_1", None, datetime.now(UTC), 201)
    for _ in range(2):  # PostgreSQL went away the first time, after all
        assert record_reply(book.engine, call, taken, ask_after=timedelta(hours=1)) == "stale"
    return one


def test_an_id_that_cobalt_gave_too_late_is_kept_and_shown_with_what_came_of_it(api: Api, book: Book) -> None:
    one = late_acceptance(api, book)
    book.tell("created", "late_1", event_id="evt_late")
    book.tell("created", "somebody_elses", event_id="evt_other")

    told = timeline(api, one)

    call = next(entry for entry in told["data"] if entry["kind"] == "submission")
    assert (call["details"]["outcome"], call["details"]["cobalt_appointment_id"]) == ("accepted_late", "late_1")
    assert call["details"]["http_status"] == 201
    assert "booked twice" in call["summary"]
    assert [entry["event_id"] for entry in told["data"] if entry["kind"] == "event"] == ["evt_late"]
    assert api.read(f"/v1/appointments/{one}")["cobalt_appointment_id"] is None


def test_the_id_that_an_appointment_has_stands_at_the_call_that_got_it(api: Api, book: Book) -> None:
    one = book.accepted("cobalt_1")
    assert timeline(api, one)["data"][-1]["details"]["cobalt_appointment_id"] == "cobalt_1"
    retold = cobalt.Accepted("cobalt_1", None, datetime.now(UTC))
    call = Claim(one, "clinic_1", 1, 1, None, {}, None, datetime.now(UTC), "req_1")
    assert record_reply(book.engine, call, retold, ask_after=timedelta(hours=1)) == "stale"
    assert timeline(api, one)["data"][-1]["details"]["outcome"] == "accepted"


# Decisions.


def unconfirmed(book: Book, *candidates: str) -> str:
    one = book.answered(LOST, mrn="555666777")
    for cobalt_id in candidates:
        book.tell("created", cobalt_id, mrn="555666777")
    return one


def look_around(book: Book, settings: Settings) -> None:
    due_now(book.engine)
    look(book.engine, settings, FakeCobalt())


def test_what_a_person_decided_is_told_with_who_and_why(api: Api, book: Book, settings: Settings) -> None:
    one = unconfirmed(book, "cobalt_a", "cobalt_b")
    look_around(book, settings)
    assert "a person has to choose" in timeline(api, one)["why"]
    abandon_by_hand(book.engine, one, person=ALICE)

    told, masked = timeline(api, one), timeline(api, one, "read")

    entry = told["data"][-1]
    assert (entry["kind"], entry["source"], entry["attempt"]) == ("abandoned", "person", 1)
    assert entry["details"] == {
        "by": "alice",
        "why": ALICE.why,
        "cobalt_appointment_ids": ["cobalt_a", "cobalt_b"],
    }
    assert masked["data"][-1]["details"] == {"by": "alice", "cobalt_appointment_ids": ["cobalt_a", "cobalt_b"]}
    assert told["why"] == "A person said that Cobalt will say no more of it."

    adopt_by_hand(book.engine, one, "cobalt_b", person=Person("bob"), ask_after=timedelta(hours=1))
    told = timeline(api, one)
    decided = [entry for entry in told["data"] if entry["kind"] in {"abandoned", "adopted"}]
    assert [(entry["kind"], entry["details"]["by"]) for entry in decided] == [
        ("abandoned", "alice"),
        ("adopted", "bob"),
    ]
    assert told["status"] == "created"


def test_what_the_worker_decided_is_told(api: Api, book: Book, settings: Settings) -> None:
    adopted = unconfirmed(book, "cobalt_a")
    look_around(book, settings)
    told = timeline(api, adopted)
    assert [(entry["kind"], entry["source"]) for entry in told["data"]] == [
        ("requested", "person"), ("submission", "worker"), ("event", "webhook"), ("adopted", "worker"),
    ]  # fmt: skip
    assert told["data"][-1]["details"] == {"cobalt_appointment_ids": ["cobalt_a"]}

    given_up = book.answered(LOST, mrn="111222333")
    change(book.engine, "UPDATE appointments SET sent_at = sent_at - interval '2 days'")
    look_around(book, settings)
    told = timeline(api, given_up)
    assert kinds(told) == ["requested", "submission", "gave_up"]
    assert told["why"] == told["data"][-1]["summary"]


@pytest.mark.parametrize("scopes", [("read",), ("read", "phi")])
def test_it_is_said_why_for_every_state(api: Api, book: Book, scopes: tuple[str, ...]) -> None:
    one = book.queued()["id"]
    assert timeline(api, one, *scopes)["why"] == "It waits for a worker to take it to Cobalt."
    retried = book.answered(cobalt.NeverLeft("ConnectError"))
    assert "try 1 ended in ConnectError" in timeline(api, retried, *scopes)["why"]
    assert "Cobalt's answer was lost (ReadTimeout)" in timeline(api, book.answered(LOST), *scopes)["why"]
    failed = book.failed("Patient MRN '1' not found in eCW.")
    assert timeline(api, failed, *scopes)["why"].endswith("that it failed: patient_not_found.")
    assert timeline(api, book.created(), *scopes)["why"].endswith("that it is booked.")


def test_without_phi_no_entry_shows_an_mrn_a_note_or_a_field_that_repeats_it(api: Api, book: Book) -> None:
    note = "weeping willow"
    asked = {"mrn": "QX-774100", "note": note, "location": "Room of qx774100", "provider": "Dr. Q X 7 7 4 1 0 0"}
    one = book.failed(f"'{note}' is no note for 774-100", {"mrn": 99345612, "list": [99345612]}, **asked)
    assert api.call("PATCH", f"/v1/appointments/{one}", json={"mrn": "ZZ-1", "location": "ZZ-1"}).status_code == 202
    book.tell(
        "failed", api.read(f"/v1/appointments/{one}")["cobalt_appointment_id"], reason=f"QX 774100? {note}!", mrn=""
    )
    for path in ("", "/timeline"):
        shown = api.get(f"/v1/appointments/{one}{path}", scopes=("read",)).text.lower()
        for hidden in ("774100", "7 7 4", "774-100", "99345612", "willow", "zz-1"):
            assert hidden not in shown, f"{hidden} in {path}"
    assert BODY["type"] in api.get(f"/v1/appointments/{one}", scopes=("read",)).text
