"""An event id that comes again with another body: kept, alarmed, and left to a person; the same body is a duplicate."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.domain.arrivals import Arrival, Source, Unread
from service.domain.states import Disposition
from service.errors import ConflictError
from service.postgres.engine import transaction
from service.spool import Spooled
from service.telemetry import metrics
from service.usecases.events import contradicting
from service.usecases.events.apply_events import apply
from service.usecases.events.replay import accept_within, dismiss_within, replay
from service.web.services import services_of
from tests.fake_cobalt import FakeCobalt, look
from tests.integration.usecases.submissions.test_asking import HOUR, SETTINGS, entry, fetched, overdue, pass_time
from tests.records import columns, created, deliver, dispositions, event, failed, row, rows, submit
from tests.webhook_process import opened_web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from tests.webhook_process import Web

APPLIED, DUPLICATE, QUARANTINED = Disposition.APPLIED, Disposition.DUPLICATE, Disposition.QUARANTINED
SUPERSEDED, UNMATCHED = Disposition.SUPERSEDED, Disposition.UNMATCHED


@pytest.fixture
def web(database_url: str, tmp_path: Path) -> Iterator[Web]:
    with opened_web(database_url, tmp_path / "spool", WEBHOOK_BUDGET="4") as web:
        yield web


def changed(raw: bytes, **changes: Any) -> bytes:
    """The same event with other fields in its envelope."""
    return json.dumps(json.loads(raw) | changes).encode()


def said(raw: bytes, **changes: Any) -> bytes:
    """The same event with other fields in its data; None removes one."""
    body = json.loads(raw)
    body["data"] = {name: value for name, value in (body["data"] | changes).items() if value is not None}
    return json.dumps(body).encode()


ONE = created("evt_1", "1")
OTHERS = {
    "another appointment": said(ONE, appointment_id="2"),
    "another patient": said(ONE, mrn="987"),
    "another start": said(ONE, date_time="2025-01-01T11:00"),
    "a field more": said(ONE, secondary_provider_id="x"),
    "another type": changed(ONE, type="appointment.cancelled"),
    "a failure": failed("evt_1", "1"),
    "another account": changed(ONE, access_token_reference_id="clinic_9"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_body_is_kept_and_alarmed_and_settles_nothing(
    engine: Engine, web: Web, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(contradicting.logger, "error", lambda _, **fields: told.append(fields))
    counted = metrics.contradictions.labels("webhook")._value.get()  # noqa: SLF001
    submit(engine, "1", "2")
    assert web.take(ONE) == [(200, "applied")]
    before = rows(engine, "appointments"), rows(engine, "events")

    answer = web.post(OTHERS[name])

    assert (answer.status_code, answer.json) == (202, {"event_id": "evt_1", "disposition": "quarantined"})
    assert (rows(engine, "appointments"), rows(engine, "events")) == before
    [kept] = rows(engine, "quarantine")
    assert columns(kept, "raw", "contradicts", "source", "deliveries") == (OTHERS[name], "evt_1", "webhook", 1)
    assert kept["digest"] == hashlib.sha256(OTHERS[name]).digest()
    assert len(kept["said_digest"]) == len(kept["recorded_digest"]) == 32
    assert kept["said_digest"] != kept["recorded_digest"]
    assert [one["disposition"] for one in rows(engine, "deliveries")] == ["applied", "quarantined"]
    assert [(one["event_id"], one["source"]) for one in told] == [("evt_1", "webhook")]
    assert metrics.contradictions.labels("webhook")._value.get() == counted + 1  # noqa: SLF001

    assert web.take(OTHERS[name], ONE) == [(202, "quarantined"), (200, "duplicate")]
    [again] = rows(engine, "quarantine")
    assert again["deliveries"] == 2


SAME = {
    "in another order": json.dumps(dict(reversed(json.loads(ONE).items()))).encode(),
    "with its data in another order": changed(ONE, data=dict(reversed(json.loads(ONE)["data"].items()))),
    "with white space": json.dumps(json.loads(ONE), indent=4).encode(),
    "compact": json.dumps(json.loads(ONE), separators=(",", ":")).encode(),
    "escaped": ONE.replace(b"Smith", b"\\u0053mith"),
    "with another time of its envelope": changed(ONE, created="2025-01-01T12:00:00.000Z", job_id=7, object="thing"),
    "with ids as numbers": said(ONE, appointment_id=1, mrn=123456789),
    "without what is null": said(ONE, secondary_provider_id=None),
    "without its account": changed(ONE, access_token_reference_id=None),
    "with its type elsewhere": json.dumps(fetched(ONE)).encode(),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_written_in_another_way_is_a_duplicate(engine: Engine, web: Web, name: str) -> None:
    submit(engine, "1")

    assert web.take(ONE, SAME[name]) == [(200, "applied"), (200, "duplicate")]
    assert rows(engine, "quarantine") == []


@pytest.mark.parametrize("number", ["1e23", "123456789012345678901234567890", "1.0", "12.50", "-0.0", "0.1", "1E400"])
def test_no_number_differs_from_itself(engine: Engine, number: str) -> None:
    submit(engine, "1")
    raw = failed("evt_1", "1", odd="NUMBER").replace(b'"NUMBER"', number.encode())
    other = raw.replace(number.encode(), b"77")

    assert deliver(engine, raw) == [APPLIED]
    assert deliver(engine, raw, other) == [DUPLICATE, QUARANTINED]


def test_in_one_batch_the_first_counts_and_another_body_behind_it_is_kept(engine: Engine) -> None:
    one, two = submit(engine, "1", "2")

    answers = deliver(engine, ONE, OTHERS["another appointment"], ONE, failed("evt_2", "2"), OTHERS["a failure"])

    assert answers == [APPLIED, QUARANTINED, DUPLICATE, APPLIED, QUARANTINED]
    assert [row(engine, each)["ruling_event_id"] for each in (one, two)] == ["evt_1", "evt_2"]
    assert {kept["raw"] for kept in rows(engine, "quarantine")} == {
        OTHERS["another appointment"],
        OTHERS["a failure"],
    }


def test_what_settles_nothing_is_compared_too(engine: Engine) -> None:
    raw = event("evt_1", "note.created", {"mrn": 1})

    assert deliver(engine, raw, raw, event("evt_1", "note.created", {"mrn": 2})) == [
        Disposition.IGNORED,
        DUPLICATE,
        QUARANTINED,
    ]


def test_an_event_that_waits_is_compared_too(engine: Engine) -> None:
    assert deliver(engine, ONE) == [UNMATCHED]
    assert deliver(engine, OTHERS["a failure"]) == [QUARANTINED]


def test_the_spool_brings_it_into_the_quarantine_once_however_often_it_is_drained(engine: Engine, web: Web) -> None:
    submit(engine, "1")
    deliver(engine, ONE)
    other = Spooled(OTHERS["a failure"], datetime.now(UTC), "req_event")
    for _ in range(2):
        services_of(web.app).spool.put([other, Spooled(ONE, datetime.now(UTC), "req_event")])
        web.drain()

    [kept] = rows(engine, "quarantine")
    assert columns(kept, "source", "deliveries", "contradicts") == ("spool", 2, "evt_1")


def test_the_same_event_fetched_is_none_and_another_one_is(engine: Engine) -> None:
    one = overdue(engine, "c1", job_id="job_1")
    raw = failed("evt_1", "c1")
    deliver(engine, created("evt_0", "c9"), raw)
    cobalt = FakeCobalt()
    with transaction(engine) as session:  # as if it was never settled
        session.execute(text("UPDATE appointments SET status = 'processing', failure = NULL, settled_at = NULL"))
    cobalt.events["job_1"] = [fetched(raw), fetched(said(created("evt_0", "c9"), date_time="2025-01-01T11:00"))]

    look(engine, SETTINGS, cobalt)

    [kept] = rows(engine, "quarantine")
    assert columns(kept, "source", "contradicts") == ("poll", "evt_0")
    assert row(engine, one)["status"] == "processing"


def test_an_entry_of_cobalts_list_may_change(engine: Engine) -> None:
    overdue(engine, "c1")
    listed = entry("c1", status="failed")
    cobalt = FakeCobalt(listed=[listed])
    for name in ("Dr. Smith", "Dr. S. Smith"):
        cobalt.listed = [listed | {"provider_name": name, "patient_mrn": name}]
        with transaction(engine) as session:
            session.execute(text("UPDATE appointments SET status = 'processing', failure = NULL, settled_at = NULL"))
        pass_time(engine, HOUR)
        look(engine, SETTINGS, cobalt)

    assert rows(engine, "quarantine") == []


def test_what_retention_has_emptied_contradicts_nothing(engine: Engine) -> None:
    submit(engine, "1")
    deliver(engine, ONE)
    with transaction(engine) as session:
        session.execute(text("UPDATE events SET payload = '{}', mrn = NULL"))

    assert deliver(engine, OTHERS["a failure"]) == [DUPLICATE]


# What a person does with it.


def quarantined(engine: Engine) -> str:
    [kept] = rows(engine, "quarantine")
    return str(kept["id"])


def test_to_replay_it_changes_nothing(engine: Engine) -> None:
    submit(engine, "1", "2")
    deliver(engine, ONE, OTHERS["another appointment"])

    assert replay(engine, quarantined(engine)) == (QUARANTINED, None)

    [kept] = rows(engine, "quarantine")
    assert columns(kept, "deliveries", "replayed_at", "contradicts") == (1, None, "evt_1")


def test_accepted_it_is_an_event_of_its_own_and_settles_what_it_names(engine: Engine) -> None:
    one, two = submit(engine, "1", "2")
    deliver(engine, ONE, OTHERS["another appointment"])
    record = quarantined(engine)

    for answer in (APPLIED, DUPLICATE):
        with transaction(engine) as session:
            assert accept_within(session, record, person="alice") == (answer, f"evt_1~{record}")

    assert [row(engine, each)["status"] for each in (one, two)] == ["created", "created"]
    assert row(engine, two)["ruling_event_id"] == f"evt_1~{record}"
    [kept] = rows(engine, "quarantine")
    assert columns(kept, "event_id", "decided_by") == (f"evt_1~{record}", "alice")
    assert deliver(engine, ONE, OTHERS["another appointment"]) == [DUPLICATE, QUARANTINED]
    assert len(rows(engine, "quarantine")) == 1


def test_accepted_it_is_judged_by_the_rule(engine: Engine) -> None:
    [one] = submit(engine, "1")
    deliver(engine, ONE, OTHERS["a failure"])
    record = quarantined(engine)

    with transaction(engine) as session:
        assert accept_within(session, record, person="alice") == (SUPERSEDED, f"evt_1~{record}")

    assert columns(row(engine, one), "status", "failures") == ("created", 1)


def test_accepted_before_its_appointment_is_known_it_waits_under_its_own_id(engine: Engine) -> None:
    deliver(engine, ONE, OTHERS["another start"])
    record = quarantined(engine)
    with transaction(engine) as session:
        assert accept_within(session, record, person="alice") == (UNMATCHED, f"evt_1~{record}")

    submit(engine, "1")

    assert set(dispositions(engine).values()) == {"applied", "superseded"}


def test_dismissed_it_waits_no_longer(engine: Engine) -> None:
    submit(engine, "1")
    deliver(engine, ONE, OTHERS["a failure"])
    record = quarantined(engine)

    for _ in range(2):
        with transaction(engine) as session:
            dismiss_within(session, record, person="alice")

    [kept] = rows(engine, "quarantine")
    assert columns(kept, "decided_by", "replayed_at") == ("alice", None)
    assert kept["dismissed_at"] is not None
    with transaction(engine) as session:  # who has thought better of it
        assert accept_within(session, record, person="bob")[0] is SUPERSEDED
    with transaction(engine) as session, pytest.raises(ConflictError):
        dismiss_within(session, record, person="alice")


def test_only_what_contradicts_an_event_can_be_accepted(engine: Engine) -> None:
    apply(engine, [Arrival(Unread(b"unreadable", "not JSON"), Source.WEBHOOK, datetime.now(UTC), "req_event")])
    with transaction(engine) as session, pytest.raises(ConflictError):
        accept_within(session, quarantined(engine), person="alice")


def test_bytes_that_a_bug_kept_out_may_contradict_what_came_meanwhile(engine: Engine) -> None:
    submit(engine, "1")
    unread = Unread(OTHERS["a failure"], "a bug of ours")
    apply(engine, [Arrival(unread, Source.WEBHOOK, datetime.now(UTC), "req_event")])
    deliver(engine, ONE)

    assert replay(engine, quarantined(engine)) == (QUARANTINED, None)

    [kept] = rows(engine, "quarantine")
    assert columns(kept, "contradicts", "reason") == ("evt_1", contradicting.REASON)
