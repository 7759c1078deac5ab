"""Submissions whose reply was lost: settled by evidence, by a person or by time, and never sent again."""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from service.cli import cli
from service.cobalt import NeverLeft, Unclear
from service.errors import ConflictError, NotFoundError
from service.postgres.engine import transaction
from service.postgres.models import Account
from service.postgres.queries import asking
from service.postgres.queries.decisions import Person
from service.usecases.submissions.adopt import UNCONFIRMED_REASON, adopt_by_hand, give_up
from service.usecases.submissions.ask_cobalt import Asker
from service.usecases.submissions.submit import expire_leases
from tests.fake_cobalt import FakeCobalt, look, work
from tests.records import (
    ACCOUNT,
    accepted,
    answer,
    ask,
    claim,
    columns,
    deliver,
    dispositions,
    row,
    rows,
    submit,
)
from tests.settings import REQUIRED, settings_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from service.cobalt import Cobalt
    from service.domain.states import Disposition
    from service.postgres.queries.asking import Question

SETTINGS = settings_from(COBALT_ACCOUNT=ACCOUNT, COBALT_ACCESS_TOKEN="token_1", ASK_RATE="1000")
LOST = Unclear("ReadTimeout")
OVERDUE = timedelta(minutes=15)
SOMEBODY = Person("somebody")
_numbers = itertools.count(1)


@pytest.fixture
def settle(engine: Engine, cobalt: FakeCobalt) -> Callable[[], None]:
    """Do what is due, several times over: workers never rest. Whatever happened, nothing was sent twice."""

    def settle() -> None:
        for _ in range(3):
            look(engine, SETTINGS, cobalt)
            work(engine, SETTINGS, cobalt)
        assert cobalt.sent == []

    return settle


def lose(engine: Engine, count: int = 1, **asked: Any) -> list[str]:
    """Ask for appointments, and lose Cobalt's replies."""
    ids = [ask(engine, **({"provider": "Dr. Smith"} | asked)) for _ in range(count)]
    claims = claim(engine)
    for appointment_id in ids:
        assert answer(engine, claims[appointment_id], LOST) == "unconfirmed"
    return ids


def tell(
    engine: Engine, kind: str, cobalt_id: str, *, account: str | None = ACCOUNT, ago: float = 0, **data: Any
) -> Disposition:
    """Have an event arrive, dated so many seconds ago."""
    said: dict[str, Any] = {"failure_reason": "Some words"}
    if kind == "created":
        said = {
            "date_time": "2025-01-01T10:00",
            "timezone": "America/New_York",
            "provider_id": "emr_prov_123",
            "provider_name": "Dr. Smith",
        }
    body = {
        "id": f"evt_{next(_numbers)}",
        "access_token_reference_id": account,
        "created": (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "type": f"appointment.{kind}",
        "data": {"appointment_id": cobalt_id, "mrn": "123456789"} | said | data,
    }
    [disposition] = deliver(engine, json.dumps(body).encode())
    return disposition


def entry(cobalt_id: str, **changed: Any) -> dict[str, Any]:
    """One of Cobalt's list, booked now."""
    return {
        "id": cobalt_id,
        "ehr_appointment_id": "ehr_1",
        "datetime": "2025-01-01T15:00:00.000Z",
        "status": "scheduled",
        "patient_mrn": "123456789",
        "provider_ehr_id": "emr_prov_123",
        "provider_name": "Dr. Smith",
        "created_at": datetime.now(UTC).isoformat(),
        "object_metadata": {"source": "cobalt_operation"},
    } | changed


def pass_time(engine: Engine, hours: float) -> None:
    """Let time pass: what happened was longer ago, and what was to come has come, but for what never comes."""
    with transaction(engine) as session:
        session.execute(
            text(
                "UPDATE appointments SET sent_at = sent_at - :t, due_at = due_at - :t, lease_until = lease_until - :t"
            ),
            {"t": timedelta(hours=hours)},
        )
        session.execute(text("UPDATE events SET occurred_at = occurred_at - :t"), {"t": timedelta(hours=hours)})


def state(engine: Engine, appointment_id: str) -> tuple[Any, ...]:
    return columns(row(engine, appointment_id), "status", "submission", "cobalt_appointment_id", "candidates")


def question_about(engine: Engine, appointment_id: str) -> Question:
    with transaction(engine) as session:
        found = asking.open_questions(session, since=datetime(2000, 1, 1, tzinfo=UTC))
    return next(one for one in found if one.appointment_id == appointment_id)


# --- by an event


def test_an_event_that_comes_after_the_reply_was_lost_settles_it(engine: Engine, settle: Callable[[], None]) -> None:
    [one] = lose(engine)
    settle()
    tell(engine, "created", "c1")
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])
    assert columns(row(engine, one), "discrepancies", "last_error") == ([], None)
    assert set(dispositions(engine).values()) == {"applied"}


def test_an_event_that_came_before_the_reply_was_lost_settles_it(engine: Engine, settle: Callable[[], None]) -> None:
    one = ask(engine, provider="Dr. Smith")
    claims = claim(engine)
    tell(engine, "created", "c1")
    assert answer(engine, claims[one], LOST) == "unconfirmed"
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])


def test_a_failure_settles_it_too(engine: Engine, settle: Callable[[], None]) -> None:
    [one] = lose(engine)
    tell(engine, "failed", "c1")
    settle()
    assert state(engine, one) == ("failed", "accepted", "c1", [])
    assert columns(row(engine, one), "failure_category", "failures") == ("other", 1)


def test_an_event_does_not_wait_for_the_next_time_that_cobalt_would_be_asked(
    engine: Engine, settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    settle()
    assert row(engine, one)["due_at"] > datetime.now(UTC) + timedelta(seconds=10)
    tell(engine, "created", "c1")
    assert row(engine, one)["due_at"] <= datetime.now(UTC)


SAME_MRN = [
    (" 123456789", "123456789"),
    ("42", 42),
    ("M\u00dc 42", "MU\u0308 42"),
    ("MU\u0308 42", "M\u00dc 42"),
    ("\u00a0123456789", "123456789\u200b"),
    ("123456789", "\u00a0123456789\u2003"),
    ("A 12  34", "A\u00a012 34"),
]
SAME_PROVIDER = [
    ("Dr. Mu\u0308ller", "Dr. M\u00fcller"),
    ("Dr. M\u00fcller", "DR. MU\u0308LLER"),
    ("Dr.  Smith", "Dr. Smith"),
    ("Dr. Smith", "Dr.\u00a0Smith "),
    ("Dr. Smith", "\ufeffDr. Smi\u00adth"),
]


@pytest.mark.parametrize(("asked", "said"), SAME_MRN)
@pytest.mark.parametrize("first", ["the event", "the silence"])
def test_the_way_in_which_an_mrn_is_written_keeps_no_event_away(
    engine: Engine, settle: Callable[[], None], asked: str, said: object, first: str
) -> None:
    if first == "the event":
        one = ask(engine, mrn=asked, provider="Dr. Smith")
        right = claim(engine)[one]
        tell(engine, "created", "c1", mrn=said)
        assert answer(engine, right, LOST) == "unconfirmed"
    else:
        [one] = lose(engine, mrn=asked)
        settle()
        tell(engine, "created", "c1", mrn=said)
        assert row(engine, one)["due_at"] <= datetime.now(UTC)
    settle()
    assert state(engine, one)[:2] == ("created", "accepted")
    kept = row(engine, one)
    assert (kept["mrn"], kept["request"]["mrn"], kept["discrepancies"]) == (asked, asked, [])
    [event] = rows(engine, "events")
    assert event["payload"]["data"]["mrn"] == said


@pytest.mark.parametrize(("asked", "said"), SAME_MRN)
def test_requests_for_one_patient_are_rivals_in_whatever_way_the_mrn_is_written(
    engine: Engine, settle: Callable[[], None], asked: str, said: object
) -> None:
    both = [*lose(engine, mrn=asked), *lose(engine, mrn=str(said))]
    tell(engine, "created", "c1", mrn=said)
    settle()
    for one in both:
        assert state(engine, one) == ("processing", "unconfirmed", None, ["c1"])


@pytest.mark.parametrize(("asked", "said"), SAME_PROVIDER)
def test_the_way_in_which_a_provider_is_written_keeps_no_event_away(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None], asked: str, said: str
) -> None:
    [one] = lose(engine, provider=asked)
    tell(engine, "created", "c1", provider_name=said)
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])
    [other] = lose(engine, mrn="42", provider=asked)
    cobalt.listed = [entry("c2", patient_mrn="42", provider_name=said)]
    settle()
    assert state(engine, other)[:3] == ("processing", "accepted", "c2")


@pytest.mark.parametrize(
    "said",
    [
        {"mrn": "123456780"},
        {"date_time": "2025-01-01T10:30"},
        {"date_time": "2025-01-02T10:00"},
        {"provider_name": "Dr. Jones"},
        {"account": "clinic_2"},
        {"ago": 60},
    ],
    ids=["patient", "start", "day", "provider", "account", "earlier"],
)
def test_an_event_about_another_appointment_is_left_alone(
    engine: Engine, settle: Callable[[], None], said: dict[str, Any]
) -> None:
    with transaction(engine) as session:
        session.add(Account(name="other", reference="clinic_2", access_token=b"unused"))
    [one] = lose(engine)
    tell(engine, "created", "c1", **said)
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, [])
    assert set(dispositions(engine).values()) == {"unmatched"}


def test_an_event_of_an_account_that_nobody_knows_here_may_be_anybodys(
    engine: Engine, settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c1", account=None)
    settle()
    assert state(engine, one)[:3] == ("created", "accepted", "c1")


def test_a_zone_that_cobalt_once_made_up_keeps_nobody_from_adopting(engine: Engine, settle: Callable[[], None]) -> None:
    [made_up] = lose(engine)
    tell(engine, "created", "c1", timezone="Mars/Olympus_Mons")
    settle()
    assert state(engine, made_up)[:2] == ("created", "accepted")
    [one] = lose(engine, mrn="42")
    tell(engine, "created", "c2", mrn="42")
    settle()
    assert state(engine, one)[:2] == ("created", "accepted")


UNUSABLE = [None, "", "Mars/Olympus_Mons", "localtime"]
ZONES = [*UNUSABLE, "America/New_York", "america/new_york", "Eastern Standard Time"]


@pytest.mark.parametrize("zone", ZONES)
def test_the_outcome_settles_it_in_whatever_way_the_zone_is_written(
    engine: Engine, settle: Callable[[], None], zone: str | None
) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c1", timezone=zone)
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])
    assert row(engine, one)["discrepancies"] == []


@pytest.mark.parametrize("zone", ZONES)
def test_another_day_settles_nothing_in_whatever_way_the_zone_is_written(
    engine: Engine, settle: Callable[[], None], zone: str | None
) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c1", date_time="2025-02-20T15:07", timezone=zone)
    tell(engine, "created", "c2", date_time="2025-01-02T10:00", timezone=zone)
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, [])


@pytest.mark.parametrize("said", ["01:30", "01:30:00-05:00", "06:30Z"])
def test_the_second_of_an_hour_that_comes_twice_is_settled_by_its_outcome(
    engine: Engine, settle: Callable[[], None], said: str
) -> None:
    day = "2030-11-03T"
    [one] = lose(engine, date=None, time=None, datetime=f"{day}01:30:00-05:00")
    tell(engine, "created", "c1", date_time=f"{day}{said}")
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])
    assert columns(row(engine, one), "discrepancies", "starts_at") == ([], datetime(2030, 11, 3, 6, 30, tzinfo=UTC))


# --- left for a person


@pytest.mark.parametrize("said", ["sometime", "2025-01-01", "", None])
def test_a_start_that_cannot_be_read_is_for_a_person(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None], said: str | None
) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c1", date_time=said)
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, ["c1"])
    pass_time(engine, 2)
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, ["c1"])

    [other] = lose(engine, mrn="42")
    cobalt.listed = [entry("c2", patient_mrn="42", datetime=said)]
    settle()
    assert state(engine, other) == ("processing", "unconfirmed", None, ["c2"])


def test_where_one_start_can_be_read_the_other_still_needs_a_person(engine: Engine, settle: Callable[[], None]) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c1")
    tell(engine, "created", "c2", date_time="sometime")
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, ["c1", "c2"])


def test_an_event_that_fits_two_requests_is_shown_with_both(engine: Engine, settle: Callable[[], None]) -> None:
    both = lose(engine, 2)
    tell(engine, "created", "c1")
    settle()
    for one in both:
        assert state(engine, one) == ("processing", "unconfirmed", None, ["c1"])
    pass_time(engine, 2)
    settle()
    for one in both:  # time does not decide what a person has to
        assert state(engine, one) == ("processing", "unconfirmed", None, ["c1"])


def test_two_events_that_fit_one_request_are_both_shown(engine: Engine, settle: Callable[[], None]) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c2")
    tell(engine, "created", "c1")
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, ["c1", "c2"])


def test_a_request_whose_call_is_under_way_may_be_the_one_as_well(engine: Engine, settle: Callable[[], None]) -> None:
    [one] = lose(engine)
    other = ask(engine, provider="Dr. Smith")
    right = claim(engine)[other]
    tell(engine, "created", "c1")
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, ["c1"])

    assert answer(engine, right, accepted("c2")) == "accepted"  # then it is another one's
    pass_time(engine, 1 / 60)
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])


def test_a_request_that_never_left_is_no_rival(engine: Engine) -> None:
    [one] = lose(engine)
    other = ask(engine, provider="Dr. Smith")
    assert answer(engine, claim(engine)[other], NeverLeft("ConnectError")) == "queued"
    tell(engine, "created", "c1")
    look(engine, SETTINGS, FakeCobalt())
    assert state(engine, one)[:3] == ("created", "accepted", "c1")


def test_a_request_that_was_sent_after_the_event_is_no_rival(engine: Engine, settle: Callable[[], None]) -> None:
    [one] = lose(engine)
    pass_time(engine, 0.1)
    tell(engine, "created", "c1", ago=120)
    lose(engine)
    settle()
    assert state(engine, one)[:3] == ("created", "accepted", "c1")


def test_a_request_that_was_given_up_is_still_a_rival(engine: Engine, settle: Callable[[], None]) -> None:
    [given_up] = lose(engine)
    pass_time(engine, 2)
    settle()
    assert row(engine, given_up)["status"] == "failed"
    [one] = lose(engine)
    tell(engine, "created", "c1")
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, ["c1"])
    assert state(engine, given_up) == ("failed", "unconfirmed", None, ["c1"])


def test_what_the_list_shows_has_rivals_too(engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None]) -> None:
    both = lose(engine, 2)
    cobalt.listed = [entry("c1")]
    settle()
    for one in both:
        assert state(engine, one) == ("processing", "unconfirmed", None, ["c1"])


def test_candidates_that_turn_out_to_be_anothers_are_shown_no_longer(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None]
) -> None:
    one, other = lose(engine, 2)
    tell(engine, "created", "c1")
    settle()
    adopt_by_hand(engine, one, "c1", person=SOMEBODY, ask_after=OVERDUE)
    assert state(engine, one) == ("created", "accepted", "c1", [])
    pass_time(engine, 0.1)
    settle()
    assert state(engine, other) == ("processing", "unconfirmed", None, [])
    pass_time(engine, 2)
    settle()
    assert columns(row(engine, other), "status", "failure_category") == ("failed", "submission_unconfirmed")
    assert cobalt.sent == []


# --- by Cobalt's list


def test_a_listed_appointment_is_adopted_and_then_confirmed(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    cobalt.listed = [entry("c1")]
    settle()
    assert state(engine, one) == ("processing", "accepted", "c1", [])
    pass_time(engine, 1)
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])
    [event] = rows(engine, "events")
    assert columns(event, "source", "disposition", "cobalt_appointment_id") == ("poll", "applied", "c1")


@pytest.mark.parametrize(
    "listed",
    [
        {"object_metadata": {"source": "ehr"}},
        {"patient_mrn": "123456780"},
        {"datetime": "2025-01-01T15:30:00.000Z", "provider_name": "Dr. Jones"},
        {"datetime": "2025-01-02T15:07:00"},
        {"datetime": "2025-01-02T10:00:00"},
        {"datetime": "2025-01-02T15:00:00.000Z"},
        {"provider_name": "Dr. Jones"},
        {"created_at": "2024-12-31T10:00:00.000Z"},
        {"id": "known"},
        {"id": None},
        {"id": ""},
        {"id": "x" * 300},
        {"id": {"odd": 1}},
    ],
)
def test_a_listed_appointment_that_is_not_this_one_is_left_alone(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None], listed: dict[str, Any]
) -> None:
    known = ask(engine, mrn="42", provider="Dr. Smith")
    assert answer(engine, claim(engine)[known], accepted("known")) == "accepted"
    [one] = lose(engine)
    cobalt.listed = [entry("c1", **listed)]
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, [])
    assert any(asked[0] == "list" for asked in cobalt.asked)


@pytest.mark.parametrize("listed", ["2025-01-01T10:00:00", "2025-01-01T10:00:00-5:00", "2025-01-01T15:00:00Z"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_a_listed_start_is_read_on_the_clock_of_the_account(
    engine: Engine, cobalt: FakeCobalt, listed: str, zone: str | None
) -> None:
    set_up = {"COBALT_TIMEZONE": zone} if zone else {}
    settings = settings_from(COBALT_ACCOUNT=ACCOUNT, COBALT_ACCESS_TOKEN="token_1", **set_up)
    [one] = lose(engine)
    [other] = lose(engine, mrn="42", time="11:00")
    cobalt.listed = [entry("c1", datetime=listed), entry("c2", patient_mrn="42", datetime=listed)]
    for _ in range(2):
        look(engine, settings, cobalt)
    assert state(engine, one)[1:3] == ("accepted", "c1")
    found = "c2" if zone is None and listed.endswith("Z") else None  # in some zone it is eleven then
    assert state(engine, other)[2:] == (found, [])


def test_an_odd_entry_of_the_list_does_not_hide_the_right_one(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    cobalt.listed = [
        {},
        {"id": None},
        entry("c3", datetime="0001-01-01T00:00:00Z"),
        entry("c4", datetime=17, provider_name=["odd"], patient_mrn="42"),
        entry("c1"),
    ]
    settle()
    assert state(engine, one)[1:3] == ("accepted", "c1")


def test_the_list_is_asked_for_the_patient_and_a_day_on_both_sides(engine: Engine, cobalt: FakeCobalt) -> None:
    lose(engine)
    look(engine, SETTINGS, cobalt)
    day = datetime(2025, 1, 1, tzinfo=UTC).date()
    assert cobalt.asked == [("list", ACCOUNT, day - timedelta(days=1), day + timedelta(days=1), "123456789")]


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31"])
def test_a_request_for_an_end_of_the_calendar_can_be_asked_about(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None], date: str
) -> None:
    [one] = lose(engine, date=date)
    settle()
    assert cobalt.asked
    tell(engine, "created", "c1")
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, [])


# --- by time


def test_evidence_that_stays_away_fails_the_request_and_says_what_to_do(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    pass_time(engine, 0.9)
    settle()
    assert row(engine, one)["status"] == "processing"
    pass_time(engine, 0.2)
    settle()
    found = row(engine, one)
    assert columns(found, "status", "submission", "failure_category") == (
        "failed",
        "unconfirmed",
        "submission_unconfirmed",
    )
    assert found["failure"]["reason"] == UNCONFIRMED_REASON
    before = len(cobalt.asked)
    pass_time(engine, 24 * 365)
    settle()
    assert len(cobalt.asked) == before  # a person decides; there is nothing to ask


def test_nobody_gives_up_while_cobalt_cannot_be_asked(
    engine: Engine, cobalt: FakeCobalt, settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    cobalt.is_away = True
    for _ in range(5):
        pass_time(engine, 24)
        settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, [])
    cobalt.is_away = False
    pass_time(engine, 1)
    settle()
    assert row(engine, one)["failure_category"] == "submission_unconfirmed"


def test_nobody_gives_up_while_the_account_has_no_token(engine: Engine, cobalt: FakeCobalt) -> None:
    with transaction(engine) as session:
        session.add(Account(name="other", reference="clinic_2", access_token=b"not encrypted"))
    one = ask(engine, account="other")
    answer(engine, claim(engine)[one], LOST)
    pass_time(engine, 24)
    look(engine, SETTINGS, cobalt)
    assert state(engine, one)[:2] == ("processing", "unconfirmed")


@pytest.mark.parametrize(("kind", "status"), [("created", "created"), ("failed", "failed")])
def test_a_late_event_still_settles_what_was_given_up(
    engine: Engine, settle: Callable[[], None], kind: str, status: str
) -> None:
    [one] = lose(engine)
    pass_time(engine, 2)
    settle()
    assert row(engine, one)["failure_category"] == "submission_unconfirmed"
    tell(engine, kind, "c1")
    settle()
    assert state(engine, one) == (status, "accepted", "c1", [])
    assert row(engine, one)["failure_category"] == (None if status == "created" else "other")
    assert set(dispositions(engine).values()) == {"applied"}


def test_a_late_failure_dated_in_the_second_of_the_call_still_gives_the_reason(
    engine: Engine, settle: Callable[[], None]
) -> None:
    """Cobalt's clock has whole seconds, and may be a little behind."""
    [one] = lose(engine)
    body = {
        "id": "evt_second",
        "access_token_reference_id": ACCOUNT,
        "created": (row(engine, one)["sent_at"] - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "type": "appointment.failed",
        "data": {"appointment_id": "c1", "mrn": "123456789", "failure_reason": "Some words"},
    }
    sent_at = row(engine, one)["sent_at"]
    assert give_up(engine, question_about(engine, one))
    assert row(engine, one)["sent_at"] == sent_at
    deliver(engine, json.dumps(body).encode())
    settle()
    assert columns(row(engine, one), "failure_category", "ruling_event_id") == ("other", "evt_second")


def test_an_event_that_comes_while_somebody_gives_up_is_not_forgotten(
    engine: Engine, settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    settle()
    question = question_about(engine, one)
    tell(engine, "created", "c1")  # after the list was looked at, before the row is failed
    give_up(engine, question)
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])


# --- by hand


@pytest.fixture
def command(database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the command line on this test's database."""
    assert engine
    environment = REQUIRED | {
        "DATABASE_URL": database_url,
        "COBALT_BASE_URL": "http://127.0.0.1:9/v1",
        "COBALT_ACCOUNT": ACCOUNT,
        "COBALT_ACCESS_TOKEN": "token_1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def test_a_person_chooses_between_candidates(
    engine: Engine, command: Callable[..., Any], settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c1")
    tell(engine, "failed", "c2")
    settle()
    assert row(engine, one)["candidates"] == ["c1", "c2"]
    assert command("adopt", one, "c2").exit_code == 0
    assert state(engine, one) == ("failed", "accepted", "c2", [])
    assert sorted(dispositions(engine).values()) == ["applied", "unmatched"]


def test_a_person_who_looked_into_the_ehr_may_know_an_id_that_no_event_named(
    engine: Engine, cobalt: FakeCobalt, command: Callable[..., Any], settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    assert command("adopt", one, "\u00a0\u200b").exit_code != 0
    assert command("adopt", one, "\u200bc1\u00a0").exit_code == 0  # as it was copied from a page
    assert state(engine, one) == ("processing", "accepted", "c1", [])
    cobalt.listed = [entry("c1")]
    pass_time(engine, 1)
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])


def test_what_was_given_up_processes_again_when_a_person_knows_its_id(
    engine: Engine, cobalt: FakeCobalt, command: Callable[..., Any], settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    pass_time(engine, 2)
    settle()
    assert row(engine, one)["status"] == "failed"
    assert command("adopt", one, "c1").exit_code == 0
    assert state(engine, one) == ("processing", "accepted", "c1", [])
    assert columns(row(engine, one), "failure", "failure_category", "settled_at") == (None, None, None)
    cobalt.listed = [entry("c1")]
    pass_time(engine, 1)
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])


def test_a_person_cannot_take_what_belongs_to_another_or_what_does_not_wait(
    engine: Engine, command: Callable[..., Any]
) -> None:
    known = ask(engine, mrn="42")
    assert answer(engine, claim(engine)[known], accepted("c1")) == "accepted"
    [one] = lose(engine)
    queued = ask(engine)
    for appointment_id, cobalt_id, error, words in (
        (one, "c1", ConflictError, "belongs to another"),
        (known, "c2", ConflictError, "does not wait"),
        (queued, "c2", ConflictError, "does not wait"),
        ("appt_unknown", "c2", NotFoundError, "no appointment"),
    ):
        with pytest.raises(error, match=words):
            adopt_by_hand(engine, appointment_id, cobalt_id, person=SOMEBODY, ask_after=OVERDUE)
        done = command("adopt", appointment_id, cobalt_id)
        assert isinstance(done.exception, error)
    assert state(engine, one) == ("processing", "unconfirmed", None, [])


# --- at the same time


def test_two_workers_that_adopt_at_once_give_each_appointment_one_owner(engine: Engine) -> None:
    """One event fits each of 20 requests; another 20 compete in pairs for one each."""
    alone = [lose(engine, mrn=f"alone_{number}")[0] for number in range(20)]
    pairs = [lose(engine, 2, mrn=f"pair_{number}") for number in range(10)]
    for number in range(20):
        tell(engine, "created", f"c{number}", mrn=f"alone_{number}")
    for number in range(10):
        tell(engine, "created", f"p{number}", mrn=f"pair_{number}")
    cobalts = [FakeCobalt() for _ in range(4)]
    start = threading.Barrier(4)

    def ask_about_all(cobalt: FakeCobalt) -> None:
        client: Any = cobalt
        typed: Cobalt = client
        asker = Asker(engine, SETTINGS, typed)
        with transaction(engine) as session:
            questions = asking.open_questions(session, since=datetime(2000, 1, 1, tzinfo=UTC))
        start.wait()
        for question in questions:
            asker.ask(question)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask_about_all, cobalts))

    for number, one in enumerate(alone):
        assert state(engine, one) == ("created", "accepted", f"c{number}", [])
    for number, pair in enumerate(pairs):
        for one in pair:
            assert state(engine, one) == ("processing", "unconfirmed", None, [f"p{number}"])
    assert [cobalt.sent for cobalt in cobalts] == [[]] * 4


def test_an_event_and_the_one_who_looks_for_it_never_miss_each_other(engine: Engine, cobalt: FakeCobalt) -> None:
    ids = [lose(engine, mrn=f"race_{number}")[0] for number in range(30)]

    def look_all() -> None:
        while not all(row_["asks"] for row_ in rows(engine, "appointments")):
            look(engine, SETTINGS, cobalt)

    with ThreadPoolExecutor(2) as pool:
        looking = pool.submit(look_all)
        for number in range(30):
            tell(engine, "created", f"c{number}", mrn=f"race_{number}")
        looking.result()
    while look(engine, SETTINGS, cobalt)["asked"]:
        pass
    for number, one in enumerate(ids):
        assert state(engine, one) == ("created", "accepted", f"c{number}", [])


# --- a worker that was lost in the middle


def test_a_call_whose_worker_was_killed_is_settled_by_its_event_and_not_made_again(
    engine: Engine, settle: Callable[[], None]
) -> None:
    one = ask(engine, provider="Dr. Smith")
    claim(engine)  # and then nothing: it was killed between the call and the record
    tell(engine, "created", "c1")
    assert expire_leases(engine) == {"expired": 0}
    pass_time(engine, 0.1)
    assert expire_leases(engine) == {"expired": 1}
    assert columns(row(engine, one), "submission", "last_error") == (
        "unconfirmed",
        "the worker was lost during the call",
    )
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])


def test_a_reply_that_comes_after_all_still_counts(engine: Engine, settle: Callable[[], None]) -> None:
    one = ask(engine, provider="Dr. Smith")
    right = claim(engine)[one]
    pass_time(engine, 0.1)
    expire_leases(engine)
    assert answer(engine, right, accepted("c1")) == "accepted"
    tell(engine, "created", "c1")
    settle()
    assert state(engine, one) == ("created", "accepted", "c1", [])


def test_a_reply_that_names_anothers_id_is_believed_by_nobody(engine: Engine, settle: Callable[[], None]) -> None:
    known = ask(engine, mrn="42")
    assert answer(engine, claim(engine)[known], accepted("c1")) == "accepted"
    one = ask(engine)
    assert answer(engine, claim(engine)[one], accepted("c1")) == "unconfirmed"
    settle()
    assert state(engine, one) == ("processing", "unconfirmed", None, [])


def test_a_person_ends_the_wait_for_an_outcome_that_was_lost_and_cobalts_late_word_still_counts(
    engine: Engine, command: Callable[..., Any]
) -> None:
    [one] = submit(engine, "c1")
    assert command("abandon", one).exit_code == 0
    assert state(engine, one) == ("failed", "accepted", "c1", [])
    tell(engine, "created", "c1")
    assert state(engine, one) == ("created", "accepted", "c1", [])


def test_a_reply_that_comes_after_giving_up_takes_it_back(engine: Engine, command: Callable[..., Any]) -> None:
    one = ask(engine, provider="Dr. Smith")
    held = claim(engine)[one]
    assert answer(engine, held, LOST) == "unconfirmed"
    assert command("abandon", one).exit_code == 0
    assert answer(engine, held, accepted("c1")) == "accepted"
    assert state(engine, one) == ("processing", "accepted", "c1", [])
    assert row(engine, one)["failure"] is None


def test_a_person_says_that_none_of_the_candidates_is_the_one(
    engine: Engine, command: Callable[..., Any], settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c1")
    tell(engine, "created", "c2")
    settle()
    assert row(engine, one)["candidates"] == ["c1", "c2"]
    assert command("abandon", one).exit_code == 0
    assert state(engine, one) == ("failed", "unconfirmed", None, [])
    assert row(engine, one)["failure_category"] == "submission_unconfirmed"
    assert command("abandon", one).exit_code != 0


def test_candidates_that_a_person_refused_are_neither_suggested_nor_taken_again(
    engine: Engine, command: Callable[..., Any], settle: Callable[[], None]
) -> None:
    [one] = lose(engine)
    tell(engine, "created", "c1")
    tell(engine, "created", "c2")
    settle()
    assert command("abandon", one, "--why", "Neither is this patient's").exit_code == 0
    [kept] = rows(engine, "decisions")
    assert columns(kept, "decision", "source", "why", "cobalt_appointment_ids") == (
        "abandoned",
        "person",
        "Neither is this patient's",
        ["c1", "c2"],
    )
    tell(engine, "created", "c1")
    settle()
    assert state(engine, one) == ("failed", "unconfirmed", None, [])
    [owner] = submit(engine, "c2", provider="Dr. Smith")  # one fits alone now, and is still not its own
    settle()
    assert (state(engine, one)[0], state(engine, owner)[0]) == ("failed", "created")
    tell(engine, "created", "c3")  # but what was not refused may be
    settle()
    assert state(engine, one) == ("created", "accepted", "c3", [])


def test_who_refused_an_id_keeps_no_other_request_from_it(
    engine: Engine, command: Callable[..., Any], settle: Callable[[], None]
) -> None:
    one, other = lose(engine, 2)
    tell(engine, "created", "c1")
    settle()
    assert row(engine, one)["candidates"] == row(engine, other)["candidates"] == ["c1"]
    assert command("abandon", one).exit_code == 0
    tell(engine, "created", "c1")
    settle()
    assert (state(engine, one)[0], state(engine, other)) == ("failed", ("created", "accepted", "c1", []))
