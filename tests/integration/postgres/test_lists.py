"""Whatever is asked of a list: its pages together hold what matches, all of it, once, and in order."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from service.postgres.engine import driver, transaction
from service.postgres.queries.appointment_views import FILTERS, SORTS, AppointmentRow, Listing, list_appointments
from service.postgres.sessions import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

ROWS = 200
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OVERDUE_BEFORE = NOON + timedelta(hours=20)

_INSERT = """
INSERT INTO appointments (id, account, status, request, mrn, provider, type, starts_at, request_id, submission,
  cobalt_appointment_id, confirmation, failure_category, failure, discrepancies, lease_until,
  created_at, updated_at, requested_at, settled_at)
VALUES (%(id)s, %(account)s, %(status)s, '{}', %(mrn)s, %(provider)s, %(type)s, %(starts_at)s, 'req_1', %(submission)s,
  %(cobalt_appointment_id)s, CASE WHEN %(status)s = 'created' THEN '{}'::jsonb END, %(failure_category)s,
  CASE WHEN %(status)s = 'failed' THEN
    jsonb_build_object('details', jsonb_build_object('reasons', jsonb_build_array(
      jsonb_build_object('code', %(failure_code)s::text))))
  END, %(discrepancies)s, now(),
  %(created_at)s, %(updated_at)s, %(requested_at)s, CASE WHEN %(status)s <> 'processing' THEN now() END)
"""

Row = dict[str, Any]
MATCHES: dict[str, Callable[[Row, Any], bool]] = {
    **{
        name: lambda row, value, name=name: row[name] == value  # type: ignore[misc]
        for name in ("status", "failure_category", "failure_code", "submission", "account", "mrn", "provider", "type")
    },
    "cobalt_appointment_id": lambda row, value: row["cobalt_appointment_id"] == value,
    "discrepancy": lambda row, value: value in row["discrepancies"],
    "overdue": lambda row, value: (row["status"] == "processing" and row["requested_at"] < OVERDUE_BEFORE) == value,
    "created_from": lambda row, value: row["created_at"] >= value,
    "created_to": lambda row, value: row["created_at"] < value,
    "starts_from": lambda row, value: row["starts_at"] is not None and row["starts_at"] >= value,
    "starts_to": lambda row, value: row["starts_at"] is not None and row["starts_at"] < value,
}


def hours(chance: random.Random, least: int = 0, most: int = 40) -> datetime:
    return NOON + timedelta(hours=chance.randint(least, most))  # few, so that they tie and fall on the borders


def made_up(chance: random.Random, number: int) -> Row:
    status = chance.choice(["processing", "created", "failed"])
    created_at = hours(chance)
    return {
        "id": f"appt_{chance.randrange(10**6):06}_{number}",
        "account": chance.choice(["big", "big", "small"]),
        "status": status,
        "mrn": chance.choice(["1", "2"]),
        "provider": chance.choice(["a", "b"]),
        "type": chance.choice(["a", "b"]),
        "starts_at": chance.choice(
            [None, hours(chance, -100, 100), hours(chance, 1400, 1500), hours(chance, 3000, 3100)]
        ),
        "submission": chance.choice(["accepted", "accepted", "queued", "sending", "unconfirmed", "rejected"]),
        "cobalt_appointment_id": str(number),
        "failure_category": chance.choice(["gave_up", "other"]) if status == "failed" else None,
        "failure_code": chance.choice(["A", "B"]) if status == "failed" else None,
        "discrepancies": chance.choice([[], [], ["mrn"], ["mrn", "start"]]),
        "created_at": created_at,
        "updated_at": created_at + timedelta(hours=chance.choice([0, 0, 1, 30, 200])),
        "requested_at": created_at + timedelta(hours=chance.choice([0, 5])),
    }


def asked(chance: random.Random) -> Row:
    values: Row = {
        "status": chance.choice(["processing", "created", "failed"]),
        "failure_category": chance.choice(["gave_up", "other", "schedule_block"]),
        "failure_code": chance.choice(["A", "B", "C"]),
        "submission": chance.choice(["accepted", "queued", "sending", "unconfirmed", "rejected"]),
        "account": chance.choice(["big", "small", "none"]),
        "mrn": chance.choice(["1", "2", "3"]),
        "provider": chance.choice(["a", "b", "c"]),
        "type": chance.choice(["a", "b", "c"]),
        "cobalt_appointment_id": str(chance.randrange(ROWS)),
        "discrepancy": chance.choice(["mrn", "start"]),
        "overdue": chance.choice([True, False]),
        "created_from": hours(chance),
        "created_to": hours(chance),
        "starts_from": hours(chance, -100, chance.choice([100, 1500])),
        "starts_to": hours(chance, -100, chance.choice([100, 1500])),
    }
    return {name: values[name] for name in chance.sample(sorted(values), chance.choice([0, 1, 1, 2, 2, 3]))}


APART: list[Row] = [
    {"created_to": NOON + timedelta(hours=30), "starts_from": NOON + timedelta(hours=3000)},
    {"created_from": NOON + timedelta(hours=5), "starts_to": NOON - timedelta(hours=50)},
]
"""Ranges that no row with usual times is in, and others are."""


def pages(engine: Engine, listing: Listing, size: int) -> Iterator[list[AppointmentRow]]:
    after = None
    while True:
        with transaction(engine) as session:
            page = list_appointments(driver(session), listing, after=after, limit=size, overdue_before=OVERDUE_BEFORE)
        yield list(page.rows)
        after = page.last
        if after is None:
            return


def test_the_pages_of_a_list_hold_what_matches_once_and_in_order(engine: Engine, database_url: str) -> None:
    chance = random.Random(20260101)  # noqa: S311 (the same each time)
    rows = [made_up(chance, number) for number in range(ROWS)]
    with connect(database_url) as connection:
        connection.cursor().executemany(_INSERT, rows)
    assert set(MATCHES) == set(FILTERS)
    used = set()
    random_ones = [(asked(chance), chance.choice(list(SORTS)), chance.choice([3, 7, 50])) for _ in range(200)]
    for filters, sort, size in [*random_ones, *((filters, sort, 3) for filters in APART for sort in SORTS)]:
        matching = [row for row in rows if all(MATCHES[name](row, value) for name, value in filters.items())]
        column = sort.lstrip("-")
        matching.sort(key=lambda row: (row[column], row["id"]), reverse=sort.startswith("-"))
        found = list(pages(engine, Listing(filters=filters, sort=sort), size if len(matching) < ROWS / 2 else 50))
        assert [one.id for page in found for one in page] == [row["id"] for row in matching], (filters, sort)
        assert [len(page) == len(found[0]) for page in found[:-1]] == [True] * (len(found) - 1)
        used |= set(filters) if 0 < len(matching) < ROWS else set()
    assert used == set(FILTERS)
