"""Counts what the stats should say, from the tables themselves."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from service.postgres.engine import driver, transaction
from service.postgres.queries import gauges
from service.postgres.queries.outcome_times import RATIO
from service.postgres.queries.stats import Appointments, Period, Stats, read_stats
from tests.records import rows

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOW = datetime.now(UTC)
HOURS = 100
EVER = Period("hour", NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS), NOW + timedelta(hours=2))
"""All hours that the tests here use; there is no appointment outside of it."""
DAYS = Period("day", EVER.begins.replace(hour=0) - timedelta(days=1), EVER.ends.replace(hour=0) + timedelta(days=1))


def read(engine: Engine, period: Period = EVER, account: str | None = None) -> Stats:
    with transaction(engine) as session:
        return read_stats(session, period, account)


def truth(engine: Engine, account: str | None = None) -> list[dict[str, Any]]:
    return [one for one in rows(engine, "appointments") if account in {None, one["account"]}]


def counted(appointments: list[dict[str, Any]]) -> Appointments:
    return Appointments(
        Counter(one["status"] for one in appointments),
        Counter(one["submission"] for one in appointments),
        Counter(one["failure_category"] for one in appointments if one["failure_category"]),
    )


def nothing_for_zero(found: Appointments) -> Appointments:
    return Appointments(+found.status, +found.submission, +found.failure_category)


def assert_true(engine: Engine, account: str | None = None) -> None:
    """The counts are what counting finds, by whatever period they are read."""
    appointments = truth(engine, account)
    settled = [one for one in appointments if one["settled_at"]]
    for period in (EVER, DAYS):
        found = read(engine, period, account)
        assert nothing_for_zero(found.appointments) == counted(appointments)
        by_bucket: dict[datetime, list[dict[str, Any]]] = {}
        for one in appointments:
            start = one["created_at"].replace(minute=0, second=0, microsecond=0)
            by_bucket.setdefault(start.replace(hour=0) if period.per == "day" else start, []).append(one)
        assert {start: nothing_for_zero(one) for start, one in found.buckets.items()} == {
            start: counted(some) for start, some in by_bucket.items()
        }
        assert {(source, took): count for source, some in found.outcomes.items() for took, count in some.items()} == (
            Counter((one["learned_from"] or "", bucket(one)) for one in settled)
        )
    processing = [one["requested_at"] for one in appointments if one["status"] == "processing"]
    assert found.oldest_processing == min(processing, default=None)
    unmatched = [one["received_at"] for one in rows(engine, "events") if one["disposition"] == "unmatched"]
    assert (found.unmatched.count, found.unmatched.oldest) == (len(unmatched), min(unmatched, default=None))
    if account is None:
        with transaction(engine) as session:
            measured = gauges.count_settled(driver(session))
        assert measured == {status: counted(appointments).status[status] for status in ("created", "failed")}


def bucket(one: dict[str, Any]) -> int:
    seconds = (one["settled_at"] - one["requested_at"]).total_seconds()
    return math.floor(math.log(max(seconds, 0.001)) / math.log(RATIO))
