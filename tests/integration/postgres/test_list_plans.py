"""Lists are read through their indexes: a page costs what it shows, however many appointments there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from service.postgres.queries.appointment_views import FILTERS, SORTS, Listing, page_query
from service.postgres.sessions import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

ROWS = 12_000
BACKLOG = 2_000
"""The newest, of which none is settled: nobody answers at Cobalt."""
MOST_PAGES = 130
"""Of 1000 that the table has: a page of 50 that lie scattered, and what leads to them."""
LONG_HISTORY = 36_000
MOST_PAGES_OF_FIVE = 50
"""However long the history is: what leads to the rows, their neighbours that are sorted with them, and a month of
index entries that do not match."""

# Nearly all belong to one account and one provider; one type is old, one provider has left, and few have failed.
_LOAD = """
INSERT INTO appointments (id, account, status, request, mrn, mrn_key, provider, type, starts_at, request_id,
  cobalt_appointment_id, submission, confirmation, failure_category, failure, discrepancies,
  created_at, updated_at, requested_at, settled_at)
SELECT 'appt_' || lpad(i::text, 8, '0'), CASE WHEN i % 1000 = 0 THEN 'rare' WHEN i % 10 = 0 THEN 'small' ELSE 'big' END,
  status, jsonb_build_object('mrn', i / 3, 'filler', repeat(md5(i::text), 12)), (i / 3)::text,
  CASE WHEN i % 1000 = 5 THEN 'key ' || i END,
  CASE WHEN i < 4000 AND i % 4 = 0 THEN 'left' WHEN i % 1500 = 0 THEN 'rare' ELSE 'usual' END,
  CASE WHEN i < 4000 AND i % 4 = 0 THEN 'old' WHEN i % 3 = 0 THEN 'follow_up' ELSE 'new' END,
  CASE WHEN status = 'created' THEN at + lead END, 'req_1', i::text,
  CASE WHEN i % 2000 = 0 THEN 'unconfirmed' ELSE 'accepted' END, CASE WHEN status = 'created' THEN '{}'::jsonb END,
  CASE WHEN status = 'failed' THEN 'gave_up' END, CASE WHEN status = 'failed' THEN
    jsonb_build_object('details', jsonb_build_object('reasons', jsonb_build_array(
      jsonb_build_object('code', 'USUAL'), jsonb_build_object('code', 'C_' || i))))
  END,
  CASE WHEN i % 3000 = 0 THEN '{mrn}'::text[] ELSE '{}' END,
  at, at + late, at, CASE WHEN status <> 'processing' THEN at + late END
FROM (
  SELECT i, CASE WHEN i % 400 = 0 THEN interval '20 days' ELSE interval '3 minutes' END AS late,
    CASE WHEN i % 500 = 0 THEN interval '100 days' ELSE interval '10 days' END AS lead,
    now() - interval '1 hour' * (%(rows)s - i) AS at,
    CASE WHEN i > %(rows)s - %(backlog)s THEN 'processing' WHEN i % 100 = 7 THEN 'failed' ELSE 'created' END AS status
  FROM generate_series(1, %(rows)s::int) AS i
) AS asked
""".replace(" % ", " %% ")

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
VALUES: dict[str, list[Any]] = {
    "status": ["processing", "created", "failed"],
    "failure_category": ["gave_up", "patient_not_found"],
    "failure_code": ["USUAL", "C_1007", "NONE"],
    "submission": ["accepted", "queued", "unconfirmed"],
    "account": ["big", "small", "rare", "nobody"],
    "mrn": ["100", "key 5005", "nobody"],
    "provider": ["usual", "rare", "left", "nobody"],
    "type": ["new", "old", "none"],
    "cobalt_appointment_id": ["100", "none"],
    "discrepancy": ["mrn", "start"],
    "overdue": [True, False],
    "created_from": [NOW - 7 * DAY, NOW - 300 * DAY, NOW + DAY],
    "created_to": [NOW - 300 * DAY, NOW, NOW - 9999 * DAY],
    "starts_from": [NOW, NOW - 300 * DAY, NOW + 99 * DAY],
    "starts_to": [NOW - 300 * DAY, NOW, NOW - 9999 * DAY],
}
PAIRS = (
    ("status", "account"),
    ("status", "created_from"),
    ("failure_category", "created_from"),
    ("provider", "starts_from"),
    ("account", "mrn"),
    ("overdue", "account"),
    ("submission", "account"),
)
FILTERED: list[dict[str, Any]] = [
    {},
    *({name: value} for name, values in VALUES.items() for value in values),
    *({one: left, other: right} for one, other in PAIRS for left, right in product(VALUES[one], VALUES[other])),
]


FAR: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"created_to": NOW - 300 * DAY}, ("-updated_at",)),
    ({"created_from": NOW - 310 * DAY, "created_to": NOW - 300 * DAY}, ("updated_at", "-updated_at")),
    ({"starts_to": NOW - 300 * DAY}, ("-created_at", "-updated_at")),
    ({"starts_from": NOW - 150 * DAY}, ("created_at", "updated_at")),
    ({"starts_from": NOW - 250 * DAY, "starts_to": NOW - 200 * DAY}, tuple(SORTS)),
    ({"status": "created"}, ("-created_at", "-updated_at")),
]
"""Lists that begin far from an end of their order: hundreds of days, or the whole backlog, lie before them."""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


@pytest.fixture(params=[ROWS])
def connection(request: pytest.FixtureRequest, database_url: str) -> Iterator[psycopg.Connection]:
    with connect(database_url, autocommit=True) as connection:
        connection.execute(_LOAD, {"rows": request.param, "backlog": BACKLOG})
        connection.execute("VACUUM ANALYZE appointments")
        yield connection


def explained(
    connection: psycopg.Connection,
    filters: dict[str, Any],
    sort: str,
    after: tuple[datetime, str] | None = None,
    *,
    limit: int = 50,
) -> tuple[int, set[str]]:
    """Count the pages that a list reads, and name the nodes of its plan."""
    listing = Listing(filters=filters, sort=sort)
    query, values = page_query(listing, after=after, limit=limit, overdue_before=NOW - timedelta(minutes=15))
    ((plan,),) = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", values).fetchall()
    root = plan[0]["Plan"]
    return root["Shared Hit Blocks"] + root["Shared Read Blocks"], {node["Node Type"] for node in nodes(root)}


def test_no_list_reads_much_more_than_it_shows(connection: psycopg.Connection) -> None:
    assert set(VALUES) == set(FILTERS)
    ((table,),) = connection.execute("SELECT relpages FROM pg_class WHERE oid = 'appointments'::regclass").fetchall()
    assert table > 500
    middle = (NOW - timedelta(hours=ROWS / 2), "appt_")
    wrong = []
    for filters, sort, after in product(FILTERED, SORTS, (None, middle)):
        pages, scans = explained(connection, filters, sort, after)
        if "Seq Scan" in scans or pages > MOST_PAGES:
            wrong.append((sort, filters, after, pages, scans))
    assert wrong == []


@pytest.mark.parametrize("connection", [LONG_HISTORY], indirect=True)
def test_a_list_that_begins_far_from_an_end_does_not_walk_to_it(connection: psycopg.Connection) -> None:
    read = {
        (sort, *filters, *also): explained(connection, filters | also, sort, limit=5)[0]
        for also in ({}, {"account": "big"}, {"provider": "usual"}, {"type": "new"})
        for filters, sorts in FAR
        for sort in sorts
    }
    assert {name: pages for name, pages in read.items() if pages > MOST_PAGES_OF_FIVE} == {}
