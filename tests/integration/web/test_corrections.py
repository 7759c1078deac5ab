"""Corrections and resubmissions: what is taken, what Cobalt is told, and which events still count."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy import text

from service.cobalt import Accepted, Cobalt, NeverLeft, Rejected, Unclear
from service.domain.arrivals import Arrival, Source
from service.domain.events import read_event
from service.postgres.engine import transaction
from service.usecases.events.apply_events import apply
from service.usecases.submissions.ask_cobalt import sweep_unmatched
from service.usecases.submissions.submit import Submitter, expire_leases
from tests.e2e.test_sandbox import running
from tests.fake_cobalt import FakeCobalt, Sent, look, work
from tests.integration.web.conftest import BODY, webhook_body
from tests.records import claim, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from werkzeug.test import TestResponse

    from service.config import Settings
    from service.domain.states import Disposition
    from tests.e2e.test_sandbox import Sandbox
    from tests.integration.web.conftest import Api, Book

REFUSED = Rejected(400, "mrn is not good", datetime.now(UTC))
LOST = Unclear("ReadTimeout")


class Desk:
    """A person at the API, and a worker behind it."""

    def __init__(self, api: Api, settings: Settings, cobalt: FakeCobalt) -> None:
        self.api = api
        self.settings = settings
        self.cobalt = cobalt
        self._events = 0

    def ask(self, **changed: Any) -> str:
        answer = self.api.post({name: value for name, value in (BODY | changed).items() if value is not None})
        assert answer.status_code == 202, answer.text
        assert answer.json
        return str(answer.json["id"])

    def work(self) -> list[Sent]:
        """Make every due call; returns what Cobalt was sent."""
        before = len(self.cobalt.sent)
        work(self.api.engine, self.settings, self.cobalt)
        return self.cobalt.sent[before:]

    def failed(self, **asked: Any) -> str:
        """One that Cobalt took and then failed, a minute ago."""
        one = self.ask(**asked)
        self.work()
        self.tell("failed", self.read(one)["cobalt_appointment_id"], ago=60)
        assert self.read(one)["status"] == "failed"
        return one

    def tell(
        self, kind: str, cobalt_id: str, *, ago: float = 0, event_id: str | None = None, **data: Any
    ) -> Disposition:
        self._events += 1
        body = json.loads(webhook_body(kind, cobalt_id, event_id=event_id or f"evt_{self._events}", **data))
        body["created"] = (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
        now = datetime.now(UTC)
        event = read_event(json.dumps(body).encode(), received_at=now)
        return apply(self.api.engine, [Arrival(event, Source.WEBHOOK, now)])[0]

    def patch(self, one: str, body: object, **rest: Any) -> TestResponse:
        answer: TestResponse = self.api.call("PATCH", f"/v1/appointments/{one}", json=body, **rest)
        return answer

    def resubmit(self, one: str) -> TestResponse:
        answer: TestResponse = self.api.call("POST", f"/v1/appointments/{one}/resubmit")
        return answer

    def correct(self, one: str, **changes: Any) -> list[Sent]:
        """Correct it and have a worker take that to Cobalt; returns what Cobalt was sent."""
        answer = self.patch(one, changes)
        assert answer.status_code == 202, answer.text
        return self.work()

    def read(self, one: str, **rest: Any) -> Any:  # noqa: ANN401 (JSON)
        return self.api.read(f"/v1/appointments/{one}", **rest)

    def state(self, one: str) -> tuple[Any, ...]:
        shown = self.read(one)
        return shown["status"], shown["submission"]["state"], shown["attempt"]

    def category(self, one: str) -> str:
        return str(self.read(one)["failure"]["category"])

    def pass_time(self, span: timedelta) -> None:
        with transaction(self.api.engine) as session:
            session.execute(
                text(
                    "UPDATE appointments SET sent_at = sent_at - :t, due_at = due_at - :t,"
                    " lease_until = lease_until - :t, attempt_since = attempt_since - :t"
                ),
                {"t": span},
            )
            session.execute(text("UPDATE events SET received_at = received_at - :t"), {"t": span})


@pytest.fixture
def desk(api: Api, settings: Settings, cobalt: FakeCobalt) -> Desk:
    return Desk(api, settings, cobalt)


# --- what is taken


def test_a_correction_begins_the_next_attempt(desk: Desk) -> None:
    one = desk.failed()
    answer = desk.patch(one, {"mrn": "987654321", "note": "please"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/appointments/{one}"
    shown = answer.json
    assert shown
    assert (shown["status"], shown["attempt"], shown["submission"]["state"]) == ("processing", 2, "queued")
    assert (shown["failure"], shown["settled_at"], shown["submission"]["tries"]) == (None, None, 0)
    assert shown["request"] == {"secondary_provider": None} | BODY | {"mrn": "987654321", "note": "please"}


@pytest.mark.parametrize("what", ["patch", "resubmit"])
def test_only_what_failed_can_be_tried_again(desk: Desk, book: Book, what: str) -> None:
    def again(one: str) -> int:
        return (desk.patch(one, {"mrn": "1"}) if what == "patch" else desk.resubmit(one)).status_code

    assert again(desk.ask()) == 409
    assert again(book.accepted()) == 409
    assert again(book.created()) == 409
    assert again("appt_unknown") == 404
    one = desk.failed()
    assert again(one) == 202
    assert again(one) == 409


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({}, ""),
        ({"mrn": ""}, "/mrn"),
        ({"mrn": None}, "/mrn"),
        ({"mrn": "\0"}, "/mrn"),
        ({"mrn": 7}, "/mrn"),
        ({"time": None}, "/time"),
        ({"date": None}, "/date"),
        ({"time": "25:00"}, "/time"),
        ({"date": "2030-02-30"}, "/date"),
        ({"datetime": "2030-01-15T10:00"}, "/datetime"),
        ({"datetime": "2030-01-15T10:00:00Z", "time": "10:00"}, "/datetime"),
        ({"duration": "long"}, "/duration"),
        ({"note": "n" * 10_001}, "/note"),
        ({"locatoin": "red"}, "/locatoin"),
        ({"account": "clinic_1"}, "/account"),
        ({"metadata": {}}, "/metadata"),
    ],
)
def test_the_whole_request_has_to_be_good_as_it_would_be_then(
    desk: Desk, changes: dict[str, Any], pointer: str
) -> None:
    one = desk.failed()
    before = desk.read(one)
    answer = desk.patch(one, changes)
    assert answer.status_code == 422
    assert answer.json
    if pointer:
        assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert desk.read(one) == before
    assert desk.work() == []


def test_half_of_a_start_cannot_be_laid_over_a_start_with_offset(desk: Desk) -> None:
    one = desk.failed(date=None, time=None, datetime="2030-01-15T10:00:00-05:00")
    answer = desk.patch(one, {"time": "11:00"})
    assert answer.status_code == 422
    assert desk.patch(one, {"date": "2030-01-16", "time": "11:00"}).status_code == 202
    request = desk.read(one)["request"]
    assert (request["date"], request["time"], request.get("datetime")) == ("2030-01-16", "11:00", None)


def test_a_correction_needs_the_scope_write(desk: Desk) -> None:
    one = desk.failed()
    assert desk.patch(one, {"mrn": "1"}, scopes=("read", "phi")).status_code == 403


# --- what Cobalt is told


def test_only_the_fields_that_changed_are_sent(desk: Desk) -> None:
    one = desk.failed(note="old", secondary_provider="Dr. Jones")
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    assert desk.correct(one, mrn="987654321", type="new_patient", note=None) == [
        Sent(cobalt_id, {"mrn": "987654321", "note": None})
    ]
    assert desk.state(one) == ("processing", "accepted", 2)


@pytest.mark.parametrize(
    ("form", "changes", "sent"),
    [
        ("as_given", {"time": "11:30"}, {"time": "11:30"}),
        ("as_given", {"date": "2030-01-16"}, {"date": "2030-01-16"}),
        (
            "as_given",
            {"datetime": "2030-01-15T10:00:00-05:00"},
            {"datetime": "2030-01-15T10:00:00-05:00"},
        ),
        ("12_hour", {"time": "13:30"}, {"time": "1:30 pm"}),
        ("12_hour", {"time": "10:00 am", "mrn": "42"}, {"mrn": "42"}),  # the same time in other words
        ("datetime", {"time": "11:30"}, {"datetime": "2030-01-15T11:30:00-05:00"}),
        ("datetime", {"date": "2030-07-15"}, {"datetime": "2030-07-15T10:00:00-04:00"}),
        ("datetime", {"mrn": "42"}, {"mrn": "42"}),
    ],
)
def test_a_changed_start_is_sent_in_the_form_of_the_account(
    desk: Desk, form: str, changes: dict[str, Any], sent: dict[str, Any]
) -> None:
    desk.settings = replace(desk.settings, cobalt_time_format=form, cobalt_timezone="America/New_York")
    one = desk.failed()
    assert [call.body for call in desk.correct(one, **changes)] == [sent]


def test_a_resubmission_sends_everything(desk: Desk) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    assert desk.resubmit(one).status_code == 202
    assert desk.work() == [Sent(cobalt_id, BODY)]
    assert desk.state(one) == ("processing", "accepted", 2)


@pytest.mark.parametrize("what", ["patch", "resubmit"])
def test_what_cobalt_never_gave_an_id_is_created_anew(desk: Desk, what: str) -> None:
    one = desk.ask(note="hello")
    desk.cobalt.replies.append(REFUSED)
    desk.work()
    assert (desk.state(one), desk.category(one)) == (("failed", "rejected", 1), "rejected_by_cobalt")
    expected = BODY | {"note": "hello"}
    if what == "patch":
        expected |= {"mrn": "42"}
        assert desk.patch(one, {"mrn": "42"}).status_code == 202
    else:
        assert desk.resubmit(one).status_code == 202
    assert desk.work() == [Sent(None, expected)]
    assert desk.state(one) == ("processing", "accepted", 2)
    desk.tell("failed", desk.read(one)["cobalt_appointment_id"])
    assert desk.state(one)[0] == "failed"


def test_after_a_refused_correction_the_next_one_brings_all_changes(desk: Desk) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.cobalt.replies.append(REFUSED)
    assert desk.correct(one, mrn="bad", note="new") == [Sent(cobalt_id, {"mrn": "bad", "note": "new"})]
    assert (desk.state(one), desk.category(one)) == (("failed", "rejected", 2), "rejected_by_cobalt")
    assert desk.correct(one, mrn="42") == [Sent(cobalt_id, {"mrn": "42", "note": "new"})]
    assert desk.state(one) == ("processing", "accepted", 3)
    desk.tell("created", cobalt_id, mrn="42")
    assert desk.state(one) == ("created", "accepted", 3)


@pytest.mark.parametrize("how", ["the reply was lost", "the worker was lost"])
def test_after_a_correction_that_cobalt_may_have_taken_the_next_one_leaves_nothing_to_chance(
    desk: Desk, how: str
) -> None:
    """Else going back to what Cobalt had at first would send nothing, and it would book what nobody wants."""
    one = desk.failed(note="first")
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    changes = {"provider": "Dr. Jones", "time": "11:00", "reason": "second"}
    assert desk.patch(one, changes).status_code == 202
    if how == "the reply was lost":
        desk.cobalt.replies.append(LOST)
        desk.work()
    else:
        assert list(claim(desk.api.engine)) == [one]
        desk.pass_time(timedelta(hours=1))
        assert expire_leases(desk.api.engine) == {"expired": 1}
    assert desk.state(one) == ("processing", "unconfirmed", 2)
    assert desk.tell("failed", cobalt_id) == "applied"  # it had taken it
    assert desk.state(one) == ("failed", "unconfirmed", 2)
    [sent] = desk.correct(one, provider="Dr. Smith", time="10:00", reason=None, mrn="42")
    assert sent.cobalt_id == cobalt_id
    assert sent.body == {
        "mrn": "42",
        "date": BODY["date"],
        "time": "10:00",
        "provider": "Dr. Smith",
        "reason": None,
    }
    desk.tell("failed", cobalt_id)
    assert desk.correct(one, note="third") == [Sent(cobalt_id, {"note": "third"})]  # all is known again


# --- which events still count


def test_a_known_event_of_the_earlier_attempt_changes_nothing(desk: Desk) -> None:
    one = desk.ask()
    desk.work()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.tell("failed", cobalt_id, ago=60, event_id="evt_known")
    desk.correct(one, mrn="42")
    assert desk.tell("failed", cobalt_id, ago=60, event_id="evt_known") == "duplicate"
    assert desk.state(one) == ("processing", "accepted", 2)


@pytest.mark.parametrize("when", ["queued", "accepted", "settled"])
def test_a_late_failure_of_the_earlier_attempt_is_superseded(desk: Desk, when: str) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    assert desk.patch(one, {"mrn": "42"}).status_code == 202
    if when == "queued":
        assert desk.tell("failed", cobalt_id, ago=60, event_id="evt_late") == "unmatched"  # nobody knows yet
        assert desk.state(one) == ("processing", "queued", 2)
    desk.work()
    if when == "settled":
        desk.tell("created", cobalt_id, mrn="42")
    if when != "queued":
        assert desk.tell("failed", cobalt_id, ago=30, event_id="evt_late") == "superseded"
    assert desk.state(one)[0] == ("created" if when == "settled" else "processing")
    assert disposition(desk.api.engine, "evt_late") == "superseded"
    assert desk.read(one)["conflicts"] == 0


def test_what_waited_for_a_correction_is_judged_when_cobalt_books_before_it_is_sent(desk: Desk) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    assert desk.patch(one, {"mrn": "42"}).status_code == 202
    assert desk.tell("failed", cobalt_id, ago=60, event_id="evt_waits") == "unmatched"
    assert desk.tell("created", cobalt_id, ago=30) == "applied"
    assert disposition(desk.api.engine, "evt_waits") == "superseded"
    assert desk.state(one) == ("created", "accepted", 2)


def test_a_correction_that_waits_its_turn_is_not_overdue_because_the_request_is_old(desk: Desk) -> None:
    one = desk.failed()
    with transaction(desk.api.engine) as session:
        session.execute(text("UPDATE appointments SET created_at = created_at - interval '1 day'"))
    assert desk.patch(one, {"mrn": "42"}).status_code == 202
    assert desk.read(one)["overdue"] is False


def test_a_late_event_of_the_second_in_which_the_attempt_before_failed_is_superseded(desk: Desk) -> None:
    one = desk.failed()
    shown = desk.read(one)
    second = datetime.fromisoformat(shown["failure"]["occurred_at"])
    desk.correct(one, mrn="42")
    ago = (datetime.now(UTC) - second).total_seconds() - 0.001
    assert desk.tell("failed", shown["cobalt_appointment_id"], ago=ago, event_id="evt_same_second") == "superseded"
    assert desk.state(one) == ("processing", "accepted", 2)


@pytest.mark.parametrize("kind", ["created", "failed"])
def test_the_webhook_of_the_new_attempt_may_come_before_cobalts_reply(desk: Desk, kind: str) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    said: list[Disposition] = []
    desk.cobalt.before_reply = lambda call: said.append(desk.tell(kind, cobalt_id, mrn=call.body["mrn"]))
    desk.correct(one, mrn="42")
    assert said == ["applied" if kind == "created" else "unmatched"]
    assert desk.state(one) == (kind, "accepted", 2)
    assert desk.read(one)["discrepancies"] == []


def test_a_failure_in_the_second_in_which_the_correction_was_sent_is_the_new_attempts(desk: Desk) -> None:
    """Cobalt's clock has whole seconds; what is not told apart here would be missed."""
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.correct(one, mrn="42")
    with transaction(desk.api.engine) as session:
        sent_at: datetime = session.scalars(text("SELECT sent_at FROM appointments")).one()
    ago = (datetime.now(UTC) - sent_at.replace(microsecond=0)).total_seconds() - 0.001
    assert desk.tell("failed", cobalt_id, ago=ago) == "applied"
    assert desk.state(one) == ("failed", "accepted", 2)


def test_what_waited_for_a_correction_is_judged_when_its_worker_counts_as_lost(desk: Desk) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    assert desk.patch(one, {"mrn": "42"}).status_code == 202
    assert list(claim(desk.api.engine)) == [one]
    assert desk.tell("failed", cobalt_id, event_id="evt_waits") == "unmatched"
    desk.pass_time(timedelta(hours=1))
    expire_leases(desk.api.engine)
    assert disposition(desk.api.engine, "evt_waits") != "unmatched"


def test_booked_after_all_wins_while_the_correction_waits_and_nothing_is_sent(desk: Desk) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    assert desk.patch(one, {"mrn": "42"}).status_code == 202
    assert desk.tell("failed", cobalt_id, ago=70, event_id="evt_waiting") == "unmatched"
    assert desk.tell("created", cobalt_id, ago=50) == "applied"
    assert desk.work() == []
    assert desk.state(one) == ("created", "accepted", 2)
    assert desk.read(one)["discrepancies"] == ["mrn"]  # it was booked for whom it was asked at first
    sweep_unmatched(desk.api.engine)
    assert disposition(desk.api.engine, "evt_waiting") == "superseded"


@pytest.mark.parametrize("reply", [REFUSED, LOST, NeverLeft("ConnectError"), None])
def test_booked_after_all_wins_while_the_correction_is_under_way(
    desk: Desk, reply: Rejected | Unclear | NeverLeft | None
) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.cobalt.before_reply = lambda _: desk.tell("created", cobalt_id, ago=30)
    if reply:
        desk.cobalt.replies.append(reply)
    desk.correct(one, mrn="42")
    assert desk.state(one)[0] == "created"
    desk.pass_time(timedelta(days=1))
    assert desk.work() == []
    assert look(desk.api.engine, desk.settings, desk.cobalt) == {"asked": 0}
    assert desk.state(one)[0] == "created"


@pytest.mark.parametrize("kind", ["created", "failed"])
def test_a_correction_whose_reply_was_lost_is_settled_by_its_event(desk: Desk, kind: str) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.cobalt.replies.append(LOST)
    desk.correct(one, mrn="42")
    assert desk.state(one) == ("processing", "unconfirmed", 2)
    assert desk.tell("failed", cobalt_id, ago=60) == "superseded"
    assert desk.state(one) == ("processing", "unconfirmed", 2)
    assert desk.tell(kind, cobalt_id, mrn="42") == "applied"
    assert desk.state(one)[0] == kind
    assert desk.work() == []


def test_a_correction_whose_reply_was_lost_fails_when_its_event_stays_away_and_a_late_one_still_counts(
    desk: Desk,
) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.cobalt.replies.append(LOST)
    desk.correct(one, mrn="42")
    desk.pass_time(timedelta(hours=2))
    look(desk.api.engine, desk.settings, desk.cobalt)
    assert (desk.state(one)[0], desk.category(one)) == ("failed", "submission_unconfirmed")
    assert desk.read(one)["failure"]["remedy"]["action"] == "check_ehr_then_resubmit"
    assert desk.work() == []
    desk.tell("created", cobalt_id, mrn="42")
    assert desk.state(one)[0] == "created"


# --- a failure that is dated before the correction whose failure it is


class Early(NamedTuple):
    """A correction that Cobalt failed by a robot whose clock is behind: ten seconds before our call, as it says."""

    id: str
    cobalt_id: str


@pytest.fixture
def early(desk: Desk) -> Early:
    one = desk.failed()
    cobalt_id = str(desk.read(one)["cobalt_appointment_id"])
    desk.correct(one, mrn="42")
    assert desk.tell("failed", cobalt_id, ago=10, event_id="evt_early", reason="No such patient") == "superseded"
    assert desk.state(one) == ("processing", "accepted", 2)
    return Early(one, cobalt_id)


def look_after(desk: Desk, span: timedelta) -> None:
    """Have a worker ask Cobalt, so long after the call and all that has come yet."""
    with transaction(desk.api.engine) as session:
        session.execute(text("UPDATE appointments SET due_at = now(), sent_at = sent_at - :t"), {"t": span})
        session.execute(text("UPDATE events SET received_at = received_at - :t"), {"t": span})
    look(desk.api.engine, desk.settings, desk.cobalt)


def listed(cobalt_id: str, status: str) -> dict[str, Any]:
    return {"id": cobalt_id, "status": status, "datetime": "2030-01-15T10:00", "patient_mrn": "42"}


LONG = timedelta(hours=1)


def test_a_failure_dated_before_its_correction_counts_when_cobalt_knows_of_nothing_else(
    desk: Desk, early: Early
) -> None:
    look_after(desk, timedelta(minutes=5))
    assert desk.state(early.id)[0] == "processing"
    told = desk.api.read(f"/v1/appointments/{early.id}/timeline")
    assert "in event evt_early, is dated before this attempt" in told["why"]

    look_after(desk, LONG)

    assert desk.state(early.id) == ("failed", "accepted", 2)
    assert desk.read(early.id)["failure"]["reason"] == "No such patient"
    assert disposition(desk.api.engine, "evt_early") == "applied"
    told = desk.api.read(f"/v1/appointments/{early.id}/timeline")
    assert told["data"][-1]["kind"] == "reassigned"
    assert told["why"].startswith("Cobalt said in event evt_early that it failed")


def test_its_words_are_told_at_once_where_cobalts_list_says_that_it_failed(desk: Desk, early: Early) -> None:
    desk.cobalt.listed = [listed(early.cobalt_id, "failed")]
    look_after(desk, timedelta(0))
    assert desk.read(early.id)["failure"]["reason"] == "No such patient"


@pytest.mark.parametrize("status", ["pending", "Processing", "scheduled"])
def test_it_does_not_count_where_cobalts_list_says_otherwise(desk: Desk, early: Early, status: str) -> None:
    desk.cobalt.listed = [listed(early.cobalt_id, status)]
    look_after(desk, LONG)
    assert desk.state(early.id)[0] == ("created" if status == "scheduled" else "processing")
    assert disposition(desk.api.engine, "evt_early") == "superseded"


def test_one_that_came_before_the_correction_was_sent_is_not_its_own(desk: Desk) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    assert desk.patch(one, {"mrn": "42"}).status_code == 202
    assert desk.tell("failed", cobalt_id, ago=10, event_id="evt_late") == "unmatched"
    with transaction(desk.api.engine) as session:  # it waits long for its turn
        session.execute(text("UPDATE events SET received_at = received_at - interval '2 hours'"))
    desk.work()
    look_after(desk, LONG)
    assert desk.state(one) == ("processing", "accepted", 2)
    assert disposition(desk.api.engine, "evt_late") == "superseded"


def test_it_does_not_count_while_cobalt_cannot_be_asked(desk: Desk, early: Early) -> None:
    desk.cobalt.is_away = True
    look_after(desk, LONG)
    assert desk.state(early.id)[0] == "processing"


@pytest.mark.parametrize("kind", ["created", "failed"])
def test_what_cobalt_says_afterwards_of_the_correction_decides(desk: Desk, early: Early, kind: str) -> None:
    look_after(desk, LONG)
    assert desk.tell(kind, early.cobalt_id, event_id="evt_clear", reason="Clear words", mrn="42") == "applied"
    assert desk.state(early.id)[0] == kind
    assert disposition(desk.api.engine, "evt_early") == "superseded"
    assert disposition(desk.api.engine, "evt_clear") == "applied"


def test_it_can_be_corrected_again_and_does_not_fail_the_next_attempt(desk: Desk, early: Early) -> None:
    look_after(desk, LONG)
    desk.correct(early.id, mrn="43")
    look_after(desk, LONG)
    assert desk.state(early.id) == ("processing", "accepted", 3)


def test_the_failure_that_was_corrected_does_not_fail_the_correction_under_a_second_id(desk: Desk) -> None:
    one = desk.failed()
    shown = desk.read(one)
    desk.correct(one, mrn="42")
    ago = (datetime.now(UTC) - datetime.fromisoformat(shown["failure"]["occurred_at"])).total_seconds()
    assert desk.tell("failed", shown["cobalt_appointment_id"], ago=ago, event_id="evt_again") == "superseded"
    look_after(desk, LONG)
    assert desk.state(one) == ("processing", "accepted", 2)


def test_the_failure_that_was_corrected_does_not_fail_the_correction_though_our_clocks_differ(desk: Desk) -> None:
    one = desk.failed()
    desk.correct(one, mrn="42")
    with transaction(desk.api.engine) as session:  # who took it was two hours ahead of who sent the correction
        session.execute(text("UPDATE events SET received_at = received_at + interval '2 hours'"))
    look_after(desk, LONG)
    assert desk.state(one) == ("processing", "accepted", 2)


def test_an_old_failure_that_cobalt_tells_when_it_is_asked_does_not_fail_the_correction(desk: Desk) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.cobalt.replies.append(Accepted(cobalt_id, "7", datetime.now(UTC)))
    desk.correct(one, mrn="42")
    body = json.loads(webhook_body("failed", cobalt_id, event_id="evt_listed"))
    desk.cobalt.events["7"] = [body | {"created": (datetime.now(UTC) - timedelta(seconds=30)).isoformat()}]
    for _ in range(2):
        look_after(desk, LONG)
    assert desk.state(one) == ("processing", "accepted", 2)
    assert disposition(desk.api.engine, "evt_listed") == "superseded"


# --- what is shown


def test_the_timeline_shows_every_attempt(desk: Desk) -> None:
    one = desk.failed()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.cobalt.replies.append(REFUSED)
    desk.correct(one, mrn="bad")
    desk.correct(one, mrn="42")
    desk.tell("failed", cobalt_id, mrn="42")
    assert desk.resubmit(one).status_code == 202
    desk.work()
    desk.tell("created", cobalt_id, mrn="42")
    entries = desk.api.read(f"/v1/appointments/{one}/timeline")["data"]
    # The first failure is dated by its arrival here, as everything is.
    assert [(entry["kind"], entry["attempt"]) for entry in entries if entry["kind"] != "event"] == [
        ("requested", 1),
        ("submission", 1),
        ("correction", 2),
        ("submission", 2),
        ("correction", 3),
        ("submission", 3),
        ("resubmission", 4),
        ("submission", 4),
    ]
    assert [entry["details"]["outcome"] for entry in entries if entry["kind"] == "submission"] == [
        "accepted",
        "rejected",
        "accepted",
        "accepted",
    ]
    assert [entry["details"]["disposition_now"] for entry in entries if entry["kind"] == "event"] == [
        "superseded",
        "superseded",
        "applied",
    ]
    first = next(entry for entry in entries if entry["kind"] == "correction")
    assert first["details"]["changes"] == {"mrn": "bad"}
    assert first["details"]["before"] == {"mrn": BODY["mrn"]}


def test_without_phi_no_mrn_of_any_attempt_is_shown(desk: Desk) -> None:
    old, new, said = "OLD-77120", "NEW-88231", "EHR-99342"
    one = desk.ask(mrn=old, note=f"note on {old}", metadata={"order": f"for {old}"})
    desk.work()
    cobalt_id = desk.read(one)["cobalt_appointment_id"]
    desk.tell("failed", cobalt_id, mrn=old, reason=f"Patient {old} has no chart", ago=60)
    desk.correct(one, mrn=new, note=f"not {old} but {new}")
    desk.tell("failed", cobalt_id, mrn=said, reason=f"{new}, once {old}, is now {said}")
    for path in ("", "/timeline"):
        shown = desk.api.get(f"/v1/appointments/{one}{path}", scopes=("read",)).text
        for mrn in (old, new, said):
            assert mrn not in shown, f"{mrn} in {path}"
        assert "note" not in shown
    assert old in desk.api.get(f"/v1/appointments/{one}/timeline", scopes=("read", "phi")).text


def disposition(engine: Engine, event_id: str) -> Any:  # noqa: ANN401
    with transaction(engine) as session:
        return session.scalar(text("SELECT disposition FROM events WHERE id = :id"), {"id": event_id})


# --- with the sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running("--reply-shape", "under-data", "--lose-webhook", "1") as sandbox:
        yield sandbox


def test_every_documented_failure_can_be_corrected_or_tried_again(
    desk: Desk, settings: Settings, sandbox: Sandbox
) -> None:
    """The webhooks are lost, and fetched: there is no web server here."""
    cards: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "patient_not_found": ({"mrn": "000000"}, {"mrn": "123456789"}),
        "visit_type_unavailable": ({"type": "Annual Wellness Visit"}, {"type": "new_patient"}),
        "provider_not_found": ({"provider": "Dr. Unknown"}, {"provider": "Dr. Smith"}),
        "schedule_block": ({"location": "Admin Block"}, {"location": "Main Clinic", "time": "13:00"}),
        "appointment_conflict": ({"location": "Double Booked"}, {"location": "Main Clinic", "note": "any room"}),
        "gave_up": ({"mrn": "999999"}, {"mrn": "123456789", "datetime": "2030-01-15T10:00:00-05:00"}),
    }
    real = replace(
        settings,
        cobalt_base_url=str(sandbox.http.base_url).rstrip("/") + "/v1",
        cobalt_client_id="ci",
        cobalt_client_secret="cs",
        cobalt_access_token="token_1",
        ask_rate=1000.0,
    )
    ids = {name: desk.ask(**asked) for name, (asked, _) in cards.items()}
    with Cobalt(real) as client:

        def settle() -> None:
            submitter = Submitter(desk.api.engine, real, client)
            submitter.run_once()
            submitter.finish()
            until(lambda: sandbox.pending() == 0)
            desk.pass_time(timedelta(0))
            with transaction(desk.api.engine) as session:
                session.execute(text("UPDATE appointments SET due_at = now() WHERE status = 'processing'"))
            asked: Any = client
            while look(desk.api.engine, real, asked)["asked"]:
                pass

        settle()
        assert {name: desk.category(one) for name, one in ids.items()} == {name: name for name in cards}
        assert desk.resubmit(ids["schedule_block"]).status_code == 202
        settle()
        assert desk.category(ids["schedule_block"]) == "schedule_block"
        for name, (_, changes) in cards.items():
            assert desk.patch(ids[name], changes).status_code == 202
        settle()
    for name, one in ids.items():
        assert desk.state(one)[:2] == ("created", "accepted"), name
        assert desk.read(one)["discrepancies"] == []
    assert sandbox.get("/_sandbox/stats")["booked"] == 6
