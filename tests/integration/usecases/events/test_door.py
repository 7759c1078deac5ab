"""The one door: whatever order, company and repetition events come in, each row ends the same."""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from service.cobalt import Accepted
from service.domain.arrivals import Arrival, Source, Unread
from service.domain.events import read_event
from service.domain.states import Disposition
from service.usecases.events.apply_events import apply
from service.usecases.events.replay import replay
from tests.records import (
    FIELDS,
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
    event,
    failed,
    in_batches,
    row,
    rows,
    submit,
)
from tests.seed_payloads import SEED_PAYLOADS
from tests.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

SEED_ACCOUNT: dict[str, Any] = {
    "account": "user_1J9X2q2eZvKYlo2Cstuv",
    "settings": settings_from(COBALT_ACCOUNT="user_1J9X2q2eZvKYlo2Cstuv", COBALT_ACCESS_TOKEN="token_1"),
}
SEED = {name: json.loads(raw) for name, raw in SEED_PAYLOADS.items()}
COBALT_IDS = [one["data"]["appointment_id"] for one in SEED.values()]
IN_2099 = (datetime(2099, 1, 1, tzinfo=UTC) - NOON) / timedelta(minutes=1)
APPLIED, SUPERSEDED, UNMATCHED = Disposition.APPLIED, Disposition.SUPERSEDED, Disposition.UNMATCHED
IGNORED, DUPLICATE = Disposition.IGNORED, Disposition.DUPLICATE


def by_cobalt_id(engine: Engine) -> dict[str, dict[str, Any]]:
    return {found["cobalt_appointment_id"]: found for found in rows(engine, "appointments")}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_the_documented_events_settle_the_appointments_that_they_name(engine: Engine, *, together: bool) -> None:
    submit(engine, *COBALT_IDS, **SEED_ACCOUNT)

    if together:
        answers = deliver(engine, *SEED_PAYLOADS.values())
    else:
        answers = [answer for raw in SEED_PAYLOADS.values() for answer in deliver(engine, raw)]

    assert answers == [APPLIED] * 7
    found = by_cobalt_id(engine)
    for name, said in SEED.items():
        data = said["data"]
        settled = found[data["appointment_id"]]
        assert settled["ruling_event_id"] == said["id"]
        assert settled["ruling_at"] == datetime.fromisoformat(said["created"])
        assert settled["settled_at"] is not None
        assert settled["discrepancies"] == (["mrn"] if name == "patient_not_found" else [])
        if name == "created":
            continue
        assert columns(settled, "status", "failure_category", "confirmation") == ("failed", name, None)
        assert settled["failure"] == {
            "reason": data["failure_reason"],
            "details": {k: v for k, v in data.items() if k not in {"appointment_id", "mrn", "failure_reason"}},
            "occurred_at": said["created"].replace("Z", "+00:00"),
            "mrn": data["mrn"],
        }


def test_the_documented_confirmation_is_kept_with_its_start_in_utc(engine: Engine) -> None:
    [appointment_id] = submit(engine, "123456789", **SEED_ACCOUNT)

    deliver(engine, SEED_PAYLOADS["created"])

    found = row(engine, appointment_id)
    assert columns(found, "status", "failure_category", "failure") == ("created", None, None)
    assert found["starts_at"] == datetime(2025, 1, 1, 15, tzinfo=UTC)
    assert found["confirmation"] == {
        "date_time": "2025-01-01T10:00",
        "timezone": "America/New_York",
        "starts_at": "2025-01-01T15:00:00+00:00",
        "provider_id": "emr_prov_123",
        "provider_name": "Dr. Smith",
        "secondary_provider_id": "emr_sec_prov_456",
    }


def test_events_sent_again_are_duplicates_and_change_nothing(engine: Engine) -> None:
    submit(engine, *COBALT_IDS, **SEED_ACCOUNT)
    deliver(engine, *SEED_PAYLOADS.values())
    before = rows(engine, "appointments"), rows(engine, "events")

    again = [answer for raw in SEED_PAYLOADS.values() for answer in deliver(engine, raw)]
    again += deliver(engine, *reversed(SEED_PAYLOADS.values()))

    assert again == [DUPLICATE] * 14
    assert (rows(engine, "appointments"), rows(engine, "events")) == before


def test_every_delivery_is_kept_with_what_it_was_answered(engine: Engine) -> None:
    submit(engine, "1")
    raw = created("evt_1", "1")

    deliver(engine, raw, failed("evt_2", "2"), raw)
    deliver(engine, raw)

    kept = [columns(one, "event_id", "disposition", "request_id", "source") for one in rows(engine, "deliveries")]
    assert kept == [
        ("evt_1", "applied", "req_event", "webhook"),
        ("evt_2", "unmatched", "req_event", "webhook"),
        ("evt_1", "duplicate", "req_event", "webhook"),
        ("evt_1", "duplicate", "req_event", "webhook"),
    ]


def test_of_an_event_that_comes_twice_in_one_batch_the_first_counts(engine: Engine) -> None:
    [one] = submit(engine, "1")
    first, second = failed("evt_1", "1", 1), failed("evt_2", "1", 2)

    answers = deliver(engine, first, first, second, first, second)

    assert answers == [SUPERSEDED, DUPLICATE, APPLIED, DUPLICATE, DUPLICATE]
    assert columns(row(engine, one), "status", "failures", "ruling_event_id") == ("failed", 2, "evt_2")


def test_an_empty_batch_does_nothing(engine: Engine) -> None:
    assert deliver(engine) == []


def test_events_for_an_unknown_id_wait_until_it_becomes_known(engine: Engine) -> None:
    asked = ask(engine)
    calls = claim(engine)
    assert deliver(engine, failed("evt_1", "1", 1), created("evt_2", "1", 2)) == [UNMATCHED] * 2
    assert row(engine, asked)["status"] == "processing"

    assert answer(engine, calls[asked], accepted("1")) == "accepted"

    found = row(engine, asked)
    assert columns(found, "status", "submission", "failures", "ruling_event_id") == ("created", "accepted", 1, "evt_2")
    assert dispositions(engine) == {"evt_1": "superseded", "evt_2": "applied"}
    assert {one["appointment_id"] for one in rows(engine, "events")} == {asked}


def test_an_event_that_waited_is_a_duplicate_when_it_comes_again(engine: Engine) -> None:
    asked = ask(engine)
    calls = claim(engine)
    deliver(engine, created("evt_1", "1"))
    assert deliver(engine, created("evt_1", "1")) == [DUPLICATE]
    answer(engine, calls[asked], accepted("1"))
    before = rows(engine, "appointments")

    assert deliver(engine, created("evt_1", "1")) == [DUPLICATE]
    assert rows(engine, "appointments") == before


def test_an_event_for_an_appointment_that_nobody_here_submitted_stays_unmatched(engine: Engine) -> None:
    submit(engine, "1")
    before = rows(engine, "appointments")

    assert deliver(engine, created("evt_foreign", "somebody else's")) == [UNMATCHED]
    assert rows(engine, "appointments") == before


def test_an_event_that_settles_nothing_is_kept_and_ignored(engine: Engine) -> None:
    submit(engine, "1")
    before = rows(engine, "appointments")
    kinds = ["appointment.updated", "appointment.cancelled", "appointment.status_updated", "patient.created", "note.x"]

    answers = deliver(engine, *(event(f"evt_{kind}", kind, {"appointment_id": "1"}) for kind in kinds))

    assert answers == [IGNORED] * len(kinds)
    assert rows(engine, "appointments") == before
    assert {columns(kept, "type", "disposition") for kept in rows(engine, "events")} == {
        (kind, "ignored") for kind in kinds
    }


def test_of_several_failures_the_latest_gives_the_reason(engine: Engine) -> None:
    [one] = submit(engine, "1")

    assert deliver(engine, failed("evt_b", "1", 5)) == [APPLIED]
    assert deliver(engine, failed("evt_a", "1", 1)) == [SUPERSEDED]
    assert deliver(engine, failed("evt_c", "1", 9)) == [APPLIED]

    found = row(engine, one)
    assert found["failure"]["reason"] == "Reason of evt_c"
    assert columns(found, "status", "failures") == ("failed", 3)
    assert dispositions(engine) == {"evt_a": "superseded", "evt_b": "superseded", "evt_c": "applied"}


def test_a_failure_dated_in_the_future_is_judged_by_when_it_was_received(engine: Engine) -> None:
    [one] = submit(engine, "1")
    now = datetime.now(UTC)

    assert deliver(engine, failed("evt_2099", "1", IN_2099)) == [APPLIED]
    assert deliver(engine, failed("evt_later", "1", (now - NOON) / timedelta(minutes=1) + 1)) == [APPLIED]

    found = row(engine, one)
    assert columns(found, "ruling_event_id", "failures") == ("evt_later", 2)
    assert dispositions(engine) == {"evt_2099": "superseded", "evt_later": "applied"}
    recorded = next(found for found in rows(engine, "events") if found["id"] == "evt_2099")
    assert recorded["occurred_at"] == recorded["received_at"]
    assert recorded["payload"]["created"].startswith("2099")


@pytest.mark.parametrize("how", ["while the correction waits", "before it", "before it, and read only afterwards"])
def test_a_failure_dated_in_the_future_does_not_fail_the_next_attempt(engine: Engine, how: str) -> None:
    [one] = submit(engine, "1")
    deliver(engine, failed("evt_1", "1"))
    raw = failed("evt_2099", "1", IN_2099)
    if how == "before it":
        deliver(engine, raw)
    elif how != "while the correction waits":
        now = datetime.now(UTC)
        apply(engine, [Arrival(Unread(raw, "a bug of ours"), Source.WEBHOOK, now, "req_event")])
    begin_correction(engine, one)
    call = claim(engine)[one]
    if how == "while the correction waits":
        assert deliver(engine, raw) == [UNMATCHED]

    assert answer(engine, call, Accepted("1", None, datetime.now(UTC) + timedelta(seconds=30))) == "accepted"
    for quarantined in rows(engine, "quarantine"):
        assert replay(engine, quarantined["id"]) == (SUPERSEDED, "evt_2099")

    assert columns(row(engine, one), "status", "attempt") == ("processing", 2)
    assert dispositions(engine) == {"evt_1": "superseded", "evt_2099": "superseded"}


def test_a_success_wins_over_failures_before_and_after_it(engine: Engine) -> None:
    [one] = submit(engine, "1")

    answers = [
        deliver(engine, raw)
        for raw in (
            failed("evt_1", "1", 1),
            created("evt_2", "1", 2),
            failed("evt_3", "1", 3),
            created("evt_4", "1", 4),
        )
    ]

    assert answers == [[APPLIED], [APPLIED], [SUPERSEDED], [SUPERSEDED]]
    found = row(engine, one)
    assert columns(found, "status", "failure", "failure_category", "failures") == ("created", None, None, 2)
    assert Counter(dispositions(engine).values()) == {"applied": 1, "superseded": 3}


@pytest.mark.parametrize("asked", [None, "2025-01-01T16:00:00+01:00"])
def test_of_two_confirmations_the_earlier_gives_the_start_in_whichever_order_they_come(
    engine: Engine, asked: str | None
) -> None:
    fields = {"date": None, "time": None, "datetime": asked} if asked else {}
    submit(engine, "1", "2", **fields)
    unreadable = {"date_time": "soon"}

    deliver(engine, created("evt_1a", "1", 1, **unreadable))
    deliver(engine, created("evt_1b", "1", 2, date_time="2025-01-01T11:00"))
    deliver(engine, created("evt_2b", "2", 2, date_time="2025-01-01T11:00"))
    deliver(engine, created("evt_2a", "2", 1, **unreadable))

    start = datetime(2025, 1, 1, 15, tzinfo=UTC) if asked else None
    ends = [columns(found, "status", "ruling_at", "starts_at") for found in rows(engine, "appointments")]
    assert ends == [("created", NOON + timedelta(minutes=1), start)] * 2


def test_an_outcome_that_differs_from_what_was_asked_for_says_where(engine: Engine) -> None:
    one, two, three = submit(engine, "1", "2", "3")

    deliver(
        engine,
        created("evt_1", "1", date_time="2025-01-01T10:30"),
        created("evt_2", "2", mrn="987", date_time="2025-01-01T15:00:00Z"),
        created("evt_3", "3", mrn="987", date_time="2025-01-02T10:00"),
    )

    assert [row(engine, each)["discrepancies"] for each in (one, two, three)] == [["start"], ["mrn"], ["mrn", "start"]]


def test_a_start_asked_for_with_an_offset_is_compared_as_an_instant(engine: Engine) -> None:
    [one] = submit(engine, "1", date=None, time=None, datetime="2025-01-01T16:00:00+01:00")

    deliver(engine, created("evt_1", "1"))

    assert row(engine, one)["discrepancies"] == []


@pytest.mark.parametrize("asked", [{}, {"date": None, "time": None, "datetime": "2025-01-01T10:00:00-05:00"}])
@pytest.mark.parametrize("date_time", ["0001-01-01T12:00:00Z", "1999-12-31T12:00:00Z", "9999-12-31T12:00:00Z"])
def test_a_confirmed_year_that_is_none_is_shown_as_a_discrepancy_and_not_kept_as_a_time(
    engine: Engine, asked: dict[str, Any], date_time: str
) -> None:
    [one] = submit(engine, "1", **asked)

    assert deliver(engine, created("evt_1", "1", date_time=date_time)) == [APPLIED]

    found = row(engine, one)
    assert columns(found, "status", "discrepancies") == ("created", ["start"])
    assert columns(found["confirmation"], "date_time", "starts_at") == (date_time, None)
    assert (found["starts_at"] is None) is (not asked)


UNREADABLE_STARTS: list[tuple[object, object]] = [
    ("2025-01-01T10:00", "Mars/Olympus"),
    ("2025-01-01T10:00:00Z", "Mars/Olympus"),
    ("2025-01-01T10:00:00Z", None),
    ("2025-01-01T10:00:00Z", "America"),
    ("2025-01-01T10:00:00Z", "../../etc/passwd"),
    ("0001-01-01T00:30:00Z", "America/New_York"),
    ("9999-12-31T23:30:00Z", "Asia/Tokyo"),
    ("soon", "America/New_York"),
    ("", None),
    (None, "America/New_York"),
    ({"at": 10}, 5),
]


def test_a_confirmation_whose_start_cannot_be_read_confirms_all_the_same(engine: Engine) -> None:
    submit(engine, *map(str, range(len(UNREADABLE_STARTS))))

    for number, (date_time, timezone) in enumerate(UNREADABLE_STARTS):
        raw = created(f"evt_{number}", str(number), date_time=date_time, timezone=timezone)
        assert deliver(engine, raw) == [APPLIED], (date_time, timezone)


@pytest.mark.parametrize("waits", [True, False], ids=["waiting for its id", "at once"])
def test_text_that_postgresql_cannot_hold_is_replaced_and_the_event_applied(engine: Engine, *, waits: bool) -> None:
    for number, unstorable in enumerate(["a\\u0000b", "a\\ud800b", "a\\udc00\\ud800b"]):
        asked = ask(engine)
        calls = claim(engine)
        raw = failed(f"evt_{number}", f"{number}", failure_reason="X", more={"X": ["X"]})
        raw = raw.replace(b"X", unstorable.encode())
        if waits:
            assert deliver(engine, raw) == [UNMATCHED]
        answer(engine, calls[asked], accepted(f"{number}"))

        assert deliver(engine, raw) == [DUPLICATE if waits else APPLIED]

        kept = "a" + "\ufffd" * (unstorable.count("\\u")) + "b"
        failure = row(engine, asked)["failure"]
        assert columns(failure, "reason", "details") == (kept, {"more": {kept: [kept]}})
        recorded = rows(engine, "events")[number]
        assert columns(recorded, "disposition", "raw") == ("applied", raw)


def test_an_event_that_waits_under_an_unusual_id_is_found_again(engine: Engine) -> None:
    ids = [b"1e23", b"123456789012345678901234567890", b"1.0", b'"  padded  "', b'"a\\u0000"', b"12.50"]
    asked = [ask(engine) for _ in ids]
    calls = claim(engine)
    for number, event_id in enumerate(ids):
        assert deliver(engine, created("ID", f"{number}").replace(b'"ID"', event_id)) == [UNMATCHED]

    for number, appointment_id in enumerate(asked):
        answer(engine, calls[appointment_id], accepted(f"{number}"))

    owners = {one["id"]: columns(one, "appointment_id", "disposition") for one in rows(engine, "events")}
    for appointment_id in asked:
        assert owners[row(engine, appointment_id)["ruling_event_id"]] == (appointment_id, "applied")


OF_ANOTHER_ACCOUNT = 0.1
HISTORIES = 8  # in each database
# Whatever of a row tells when something happened, or how often it was written.
TIMES = {
    "created_at",
    "updated_at",
    "changed_in",
    "requested_at",
    "settled_at",
    "due_at",
    "sent_at",
    "accepted_at",
    "lease_until",
    "version",
}


class Replica:
    """The same requests and the same events as in other replicas, under ids of its own."""

    def __init__(self, engine: Engine, name: str, appointments: Sequence[dict[str, Any]]) -> None:
        self.engine = engine
        self.prefix = f"replica_{name}_"
        self.ids = {ask(engine, **fields): name for name, fields in enumerate(appointments)}
        self.claims = claim(engine)

    def become_known(self, name: int) -> None:
        our_id = next(one for one, its in self.ids.items() if its == name)
        assert answer(self.engine, self.claims[our_id], accepted(f"{self.prefix}{name}")) == "accepted"

    def deliver(self, raws: Sequence[bytes]) -> None:
        apply(self.engine, [self._arrive(raw) for raw in raws])

    def _arrive(self, raw: bytes) -> Arrival:
        """Have an event come when it comes in every replica: what is dated in the future is judged by that."""
        received_at = NOON + timedelta(minutes=zlib.crc32(raw) % 4)
        said = read_event(raw.replace(b"PREFIX_", self.prefix.encode()), received_at=received_at)
        return Arrival(said, Source.WEBHOOK, received_at, "req_event")

    def end(self) -> tuple[object, ...]:
        """Where its appointments and events ended, without what differs on purpose."""
        appointments = {
            self.ids[found["id"]]: {name: self._plain(value) for name, value in found.items() if name not in TIMES}
            for found in rows(self.engine, "appointments")
            if found["id"] in self.ids
        }
        events = {
            self._plain(found["id"]): (found["disposition"], self.ids.get(found["appointment_id"]))
            for found in rows(self.engine, "events")
            if found["id"].startswith(self.prefix)
        }
        return appointments, events

    def _plain(self, value: object) -> object:
        if isinstance(value, str) and value in self.ids:
            return "our id"
        return json.loads(json.dumps(value, default=str).replace(self.prefix, ""))


def random_events(draw: random.Random, appointments: int) -> list[bytes]:
    """Events about these appointments and one unknown; few minutes, so that ties are common."""
    events = []
    for number in range(draw.randint(1, 14)):
        event_id = f"PREFIX_{draw.randrange(10_000):04}_{number}"
        name, minute = f"PREFIX_{draw.randrange(appointments + 1)}", draw.choice([0, 1, 2, 3, IN_2099])
        match draw.choice(["failed"] * 4 + ["created", "created", "odd", "odd", "ignored"]):
            case "failed":
                events.append(failed(event_id, name, minute, failure_reason=f"Reason {event_id}"))
            case "created":
                start = draw.choice(["2025-01-01T10:00", "2025-01-01T11:00", "2025-01-01T10:00:00Z"])
                events.append(created(event_id, name, minute, date_time=start, mrn=draw.choice(["1", FIELDS["mrn"]])))
            case "odd":
                zone = draw.choice([None, "Mars/Olympus", "America/New_York"])
                events.append(created(event_id, name, minute, date_time=draw.choice(["soon", "10:00"]), timezone=zone))
            case _:
                events.append(event(event_id, "appointment.updated", {"appointment_id": name}, minute))
        if draw.random() < OF_ANOTHER_ACCOUNT:
            events[-1] = events[-1].replace(b'"clinic_1"', b'"clinic_9"')
    return events


def play(draw: random.Random, replica: Replica, events: Sequence[bytes], appointments: int) -> None:
    """Deliver all events in a random order, some again, while the ids become known at random moments."""
    deliveries = [*events, *draw.choices(events, k=draw.randint(0, 4))]
    draw.shuffle(deliveries)
    steps: list[Sequence[bytes] | int] = list(in_batches(deliveries, [draw.randint(1, 6) for _ in range(3)]))
    for name in range(appointments):
        steps.insert(draw.randint(0, len(steps)), name)
    for step in steps:
        if isinstance(step, int):
            replica.become_known(step)
        else:
            replica.deliver(step)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_repetition_and_batching_of_the_same_events_gives_the_same_rows(engine: Engine, seed: int) -> None:
    asked = [{}, {"date": None, "time": None, "datetime": "2025-01-01T10:00:00-05:00"}]
    for history in range(HISTORIES):
        draw = random.Random(f"{seed}/{history}")  # noqa: S311 (the same each time)
        events = random_events(draw, len(asked))
        ends = []
        for number in range(3):
            replica = Replica(engine, f"{history}_{number}", asked)
            play(draw, replica, events, len(asked))
            ends.append(replica.end())
        assert ends[1:] == ends[:1] * 2, f"history {history}: {events}"

    applied = Counter(found["appointment_id"] for found in rows(engine, "events") if found["disposition"] == "applied")
    settled = {found["id"] for found in rows(engine, "appointments") if found["status"] != "processing"}
    assert len(settled) > HISTORIES
    assert applied == dict.fromkeys(settled, 1)
