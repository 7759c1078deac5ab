"""Stats over HTTP."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service import cobalt
from service.domain.arrivals import Arrival, Source, Unread
from service.domain.failures import Category
from service.errors import SpoolUnavailableError
from service.postgres.engine import transaction
from service.spool import Spooled
from service.usecases.access.accounts import add_account
from service.usecases.events.apply_events import apply
from service.usecases.upkeep.keep_counts import fold_counts
from service.web.services import services_of

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book

URL = "/v1/stats"


def execute(engine: Engine, statement: str, **parameters: object) -> None:
    with transaction(engine) as session:
        session.execute(text(statement), parameters)


def at(time: str) -> datetime:
    return datetime.fromisoformat(time)


def ask_at(book: Book, time: datetime, **asked: Any) -> str:
    """One that was asked for then."""
    appointment_id: str = book.queued(**asked)["id"]
    execute(
        book.engine,
        "UPDATE appointments SET created_at = :at, requested_at = :at WHERE id = :id",
        at=time,
        id=appointment_id,
    )
    return appointment_id


def test_an_empty_database_has_stats_too(api: Api) -> None:
    before = datetime.now(UTC)
    shown = api.read(URL)
    buckets = shown.pop("buckets")
    as_of = shown.pop("as_of")
    period = shown.pop("period")
    nothing = {"count": 0, "oldest_at": None, "oldest_age_seconds": None}
    assert shown == {
        "object": "stats",
        "account": None,
        "submitted": 0,
        "status": {"processing": 0, "created": 0, "failed": 0},
        "submission": {"queued": 0, "sending": 0, "accepted": 0, "unconfirmed": 0, "rejected": 0},
        "failure_category": {category.value: 0 for category in Category},
        "failure_code": {},
        "oldest_processing": None,
        "accounts": {"healthy": 1, "paused": 0, "login_required": 0, "held": 0},
        "unmatched": nothing,
        "of_another_account": nothing,
        "quarantined": nothing,
        "spooled": nothing,
        "outcomes": {
            "settled": 0,
            "processing_seconds": {"p50": None, "p90": None, "p95": None, "p99": None, "relative_error": 0.05},
            "learned_from": {"webhook": 0, "spool": 0, "replay": 0, "poll": 0, "other": 0},
            "missed_webhook_rate": None,
        },
    }
    assert before - timedelta(seconds=5) < at(as_of) < datetime.now(UTC) + timedelta(seconds=5)
    assert period["bucket"] == "hour"
    assert at(period["to"]) - at(period["from"]) == timedelta(hours=24)
    assert [at(one["from"]) for one in buckets] == [at(period["from"]) + timedelta(hours=n) for n in range(24)]
    assert buckets[-1] == {
        "from": buckets[-1]["from"],
        "submitted": 0,
        "status": {"processing": 0, "created": 0, "failed": 0},
        "failure_category": {},
    }


def test_every_appointment_is_counted_by_its_state(api: Api, book: Book) -> None:
    book.queued()
    book.created()
    book.created()
    book.failed("Patient MRN '123456789' not found in eCW.")
    book.answered(cobalt.Rejected(422, "No", datetime.now(UTC)))
    for _ in range(2):  # whether or not the worker has folded the counts
        shown = api.read(URL)
        assert shown["submitted"] == 5
        assert shown["status"] == {"processing": 1, "created": 2, "failed": 2}
        assert shown["submission"] == {"queued": 1, "sending": 0, "accepted": 3, "unconfirmed": 0, "rejected": 1}
        causes = {name: count for name, count in shown["failure_category"].items() if count}
        assert causes == {"patient_not_found": 1, "rejected_by_cobalt": 1}
        assert sum(one["submitted"] for one in shown["buckets"]) == 5
        for name, whole in (("status", {"processing": 1, "created": 2, "failed": 2}), ("failure_category", causes)):
            assert sum((Counter(one[name]) for one in shown["buckets"]), Counter()) == whole
        assert shown["outcomes"]["settled"] == 4
        fold_counts(book.engine)


def test_only_one_account_is_counted_when_it_is_named(api: Api, book: Book, settings: Settings) -> None:
    with transaction(book.engine) as session:
        add_account(session, settings, name="clinic_2", reference="ref_2", access_token="at_2")
    ask_at(book, datetime.now(UTC) - timedelta(hours=2), account="clinic_1")
    book.queued(account="clinic_2")
    book.queued(account="clinic_2")
    shown = api.read(f"{URL}?account=clinic_2")
    assert shown["account"] == "clinic_2"
    assert shown["submitted"] == 2
    assert sum(one["submitted"] for one in shown["buckets"]) == 2
    assert shown["oldest_processing"]["age_seconds"] < 3600
    assert api.read(f"{URL}?account=clinic_1")["oldest_processing"]["age_seconds"] > 3600
    assert api.read(f"{URL}?account=nobody")["submitted"] == 0


def test_the_oldest_that_still_processes_is_told_by_its_latest_attempt(api: Api, book: Book) -> None:
    asked_at = datetime.now(UTC) - timedelta(hours=3)
    ask_at(book, asked_at)
    book.queued()
    settled = book.created()
    execute(book.engine, "UPDATE appointments SET requested_at = '2020-01-01' WHERE id = :id", id=settled)
    corrected = book.failed()
    execute(book.engine, "UPDATE appointments SET created_at = '2020-01-01' WHERE id = :id", id=corrected)
    assert api.post({}, f"/v1/appointments/{corrected}/resubmit").status_code == 202
    oldest = api.read(URL)["oldest_processing"]
    assert at(oldest["requested_at"]) == asked_at
    assert oldest["age_seconds"] == pytest.approx(3 * 3600, abs=60)


def test_what_waits_is_counted_with_its_age(api: Api, app: Flask, book: Book) -> None:
    received_at = datetime.now(UTC) - timedelta(minutes=5)
    book.tell("created", "nobodys_1")
    book.tell("created", "nobodys_2")
    execute(
        book.engine, "UPDATE events SET received_at = :at WHERE cobalt_appointment_id = 'nobodys_1'", at=received_at
    )
    for raw in (b"a", b"b"):
        apply(book.engine, [Arrival(Unread(raw, "no JSON"), Source.WEBHOOK, received_at)])
    execute(book.engine, "UPDATE quarantine SET replayed_at = now() WHERE raw = 'b'")
    spool = services_of(app).spool
    spool.put([Spooled(b"c", received_at, "req_spooled")])
    try:
        shown = api.read(URL)
    finally:
        spool.remove(spool.oldest(1))
    for name, count in (("unmatched", 2), ("quarantined", 1), ("spooled", 1)):
        assert shown[name]["count"] == count
        assert at(shown[name]["oldest_at"]) == received_at
        assert shown[name]["oldest_age_seconds"] == pytest.approx(300, abs=60)


def test_a_disk_that_does_not_answer_takes_nothing_but_its_own_figure_away(
    api: Api, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def depth() -> None:
        raise SpoolUnavailableError

    monkeypatch.setattr(services_of(app).spool, "depth", depth)
    assert api.read(URL)["spooled"] is None


def test_outcomes_tell_how_long_they_took_and_how_many_webhooks_were_missed(api: Api, book: Book) -> None:
    for number, source in enumerate([Source.WEBHOOK] * 8 + [Source.SPOOL, Source.POLL]):
        one = book.created()
        execute(
            book.engine,
            "UPDATE appointments SET learned_from = :source, settled_at = requested_at + :took WHERE id = :id",
            source=source.value,
            took=timedelta(seconds=60 if number < 9 else 600),
            id=one,
        )
    book.answered(cobalt.Rejected(422, "No", datetime.now(UTC)))  # at once, and by no webhook
    outcomes = api.read(f"{URL}?to={(datetime.now(UTC) + timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')}")[
        "outcomes"
    ]
    assert outcomes["settled"] == 11
    assert outcomes["learned_from"] == {"webhook": 8, "spool": 1, "replay": 0, "poll": 1, "other": 1}
    assert outcomes["missed_webhook_rate"] == 0.1
    error = outcomes["processing_seconds"].pop("relative_error")
    assert outcomes["processing_seconds"] == pytest.approx({"p50": 60, "p90": 60, "p95": 600, "p99": 600}, rel=error)


@pytest.mark.parametrize(
    ("query", "begins", "ends", "count"),
    [
        ("from=2025-03-01T10:30:00Z&to=2025-03-01T12:00:00Z", "2025-03-01T10:00:00Z", "2025-03-01T12:00:00Z", 2),
        ("from=2025-03-01T10:00:00Z&to=2025-03-01T12:00:01Z", "2025-03-01T10:00:00Z", "2025-03-01T13:00:00Z", 3),
        ("to=2025-03-01T23:30:00-01:00", "2025-03-01T01:00:00Z", "2025-03-02T01:00:00Z", 24),
        ("bucket=day&to=2025-03-01T23:30:00-01:00", "2025-02-01T00:00:00Z", "2025-03-03T00:00:00Z", 30),
        (
            "bucket=day&from=2025-02-28T05:45:00%2B05:45&to=2025-03-01T00:00:00Z",
            "2025-02-28T00:00:00Z",
            "2025-03-01T00:00:00Z",
            1,
        ),
    ],
)
def test_a_period_is_widened_to_whole_buckets(api: Api, query: str, begins: str, ends: str, count: int) -> None:
    shown = api.read(f"{URL}?{query}")
    assert (shown["period"]["from"], shown["period"]["to"]) == (begins, ends)
    assert len(shown["buckets"]) == count


def test_each_bucket_has_what_was_asked_for_in_it(api: Api, book: Book) -> None:
    for time in ("2025-03-01T10:00:00Z", "2025-03-01T10:59:59.999999Z", "2025-03-01T11:00:00Z", "2025-03-02T00:00:00Z"):
        ask_at(book, at(time))
    for _ in range(2):
        hours = api.read(f"{URL}?from=2025-03-01T09:00:00Z&to=2025-03-01T12:00:00Z")
        assert [one["submitted"] for one in hours["buckets"]] == [0, 2, 1]
        assert hours["submitted"] == 4
        days = api.read(f"{URL}?bucket=day&from=2025-02-28T00:00:00Z&to=2025-03-03T00:00:00Z")
        assert [one["status"]["processing"] for one in days["buckets"]] == [0, 3, 1]
        fold_counts(book.engine)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("bucket=minute", "/query/bucket"),
        ("from=yesterday", "/query/from"),
        ("from=2025-03-01T10:00:00", "/query/from"),
        ("from=1999-03-01T10:00:00Z", "/query/from"),
        ("from=0001-01-01T00:00:00%2B14:00", "/query/from"),
        ("to=9999-12-31T23:59:59-14:00", "/query/to"),
        ("from=2025-03-02T00:00:00Z&to=2025-03-01T00:00:00Z", "/query/from"),
        ("from=2025-01-01T00:00:00Z&to=2025-03-01T00:00:00Z", "/query/from"),
        ("bucket=day&from=2022-01-01T00:00:00Z&to=2025-03-01T00:00:00Z", "/query/from"),
        ("account=a%00b", "/query/account"),
        ("acount=clinic_1", "/query/acount"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_why(api: Api, query: str, pointer: str) -> None:
    answer = api.get(f"{URL}?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
