"""The statements of the one door: what a batch of events reads under its locks, and what it writes.

Few, because each costs PostgreSQL and us more than the rows in it: one to lock, one to read, one to write. A batch
travels as JSON documents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from service.domain.comparing import comparable
from service.domain.exact_json import document
from service.domain.states import Disposition, Status
from service.postgres.pipeline import COMMIT, Statement, exchange
from service.postgres.queries.appointments import (
    LOCK,
    REFERENCES,
    SETTLE,
    Locked,
    read_locked,
    settled_rows,
    with_names,
)
from service.postgres.queries.asking import HURRY
from service.postgres.queries.events import JUDGED, LOCK_IDS, read_judged

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from service.domain.arrivals import Arrival
    from service.postgres.pipeline import Asked


def _statement(name: str, text: str) -> Statement:
    return Statement(f"door_{name}".encode(), text.encode())


_HOLD = _statement("hold", LOCK_IDS.format(ids="json_array_elements_text($1::json)"))

_READ = _statement(
    "read",
    f"""
WITH held AS ({LOCK.format(cobalt_ids="ARRAY(SELECT json_array_elements_text($1::json))")})
SELECT json_build_object(
  'known', (SELECT coalesce(json_agg(json_build_array(id, payload::text)), '[]') FROM events
            WHERE id = ANY(ARRAY(SELECT json_array_elements_text($2::json)))),
  'rows', (SELECT coalesce(json_agg(held), '[]') FROM held))
""",  # noqa: S608 (constants)
)

_JUDGED = _statement(
    "judged",
    "SELECT coalesce(json_agg(judged), '[]')"
    f"FROM ({JUDGED.format(appointment_ids='SELECT json_array_elements_text($1::json)')}) AS judged",
)

_NAMED = _statement(
    "named",
    "SELECT coalesce(json_agg(json_build_array(account, reference)), '[]')"
    f"FROM ({REFERENCES.format(accounts='SELECT json_array_elements_text($1::json)')}) AS found",
)

_DELIVERED = """
INSERT INTO deliveries (event_id, received_at, source, disposition, request_id)
SELECT event_id, received_at, source, disposition, request_id
FROM jsonb_to_recordset($1::jsonb) AS new(
  event_id text, received_at timestamptz, source text, disposition text, request_id text)
"""
_DELIVER = _statement("deliver", _DELIVERED)

_WRITE = _statement(
    "write",
    f"""
WITH recorded AS (
  INSERT INTO events (id, type, disposition, appointment_id, account_reference, of_another_account,
                      repeats, cobalt_appointment_id, mrn, occurred_at, received_at, source, payload, raw)
  SELECT id, type, disposition, appointment_id, account_reference, of_another_account, repeats,
         cobalt_appointment_id, mrn, occurred_at, received_at, source, payload, raw
  FROM jsonb_to_recordset($2::jsonb) AS new(
    id text, type text, disposition text, appointment_id text, account_reference text, of_another_account bool,
    repeats text, cobalt_appointment_id text, mrn text, occurred_at timestamptz, received_at timestamptz, source text,
    payload jsonb, raw bytea)
), displaced AS (
  UPDATE events SET disposition = 'superseded' WHERE id = ANY(ARRAY(SELECT json_array_elements_text($3::json)))
), settled AS ({SETTLE.format(rows="$4::jsonb", now="$5::timestamptz")})
{_DELIVERED}
""",  # noqa: S608 (constants)
)

_HURRY = _statement(
    "hurry", HURRY.format(mrns="ARRAY(SELECT json_array_elements_text($1::json))", now="$2::timestamptz")
)


@dataclass(slots=True)
class Link:
    """A connection as the door uses it.

    Args:
        pgconn: libpq's.
        prepared: Names of the statements that it knows, where they are ours to keep.
        named: Accounts and what Cobalt calls them, as far as they were looked up. What it calls one it may call it for
            ever: none of this becomes wrong.
    """

    pgconn: PGconn
    prepared: set[bytes] | None = None
    named: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Found:
    """What a batch found under its locks.

    Args:
        known: Which of its events are recorded already -> their payload, as JSON.
        rows: The appointments that its events name, by Cobalt's id.
    """

    known: Mapping[str, str]
    rows: dict[str, Locked]


def read(link: Link, *, held: Collection[str], event_ids: Collection[str], cobalt_ids: Collection[str]) -> PQGen[Found]:
    """Take a batch's locks, and read what it needs to know.

    Args:
        link: In whose transaction.
        held: Ids to hold first, so that what races for them is seen.
        event_ids: Events that may be known.
        cobalt_ids: Appointments to lock.
    """
    _, found = yield from exchange(
        link.pgconn,
        link.prepared,
        [
            (_HOLD, [document(list(held))]),
            # A statement of its own: it has to see what was committed while the first one waited.
            (_READ, [document(list(cobalt_ids)), document(list(event_ids))]),
        ],
    )
    read = orjson.loads(found.get_value(0, 0) or b"{}")
    return Found(dict(read["known"]), read_locked(read["rows"]))


def look_back(link: Link, rows: Collection[Locked]) -> PQGen[None]:
    """Read by which events these appointments were judged; few are asked about twice, and none where nothing is new."""
    settled = {row.id: row for row in rows if row.standing.status is not Status.PROCESSING}
    if not settled:
        return
    [found] = yield from exchange(link.pgconn, link.prepared, [(_JUDGED, [document(list(settled))])])
    for one in orjson.loads(found.get_value(0, 0) or b"[]"):
        at = datetime.fromisoformat(one["occurred_at"])
        settled[one["appointment_id"]].judged += read_judged([(one["id"], at, one["payload"])])


def look_up(link: Link, names: Collection[tuple[str, str]]) -> PQGen[None]:
    """Add to ``link.named`` what Cobalt calls these accounts, if not all of these names are among it."""
    new = {account for account, _ in set(names) - link.named}
    if not new:
        return
    [found] = yield from exchange(link.pgconn, link.prepared, [(_NAMED, [document(list(new))])])
    pairs = {(account, reference) for account, reference in orjson.loads(found.get_value(0, 0) or b"[]")}
    link.named |= with_names(pairs, new)


def write(
    link: Link,
    *,
    recorded: Sequence[Arrival],
    dispositions: Mapping[str, Disposition],
    foreign: Collection[str],
    rows: Mapping[str, Locked],
    displaced: Sequence[str],
    repeats: Mapping[str, str],
    answers: Sequence[tuple[Arrival, Disposition]],
    now: datetime,
    commit: bool,
) -> PQGen[None]:
    """Write what became of a batch; raises a UniqueViolation when one of the new events became known meanwhile.

    Args:
        link: In whose transaction.
        recorded: The new events.
        dispositions: What became of each of them.
        foreign: Those of another account than the appointment's that they name.
        rows: The appointments, as the rule left them.
        displaced: Earlier events that no longer decide anything.
        repeats: New ones that told an outcome again, each with the event that had told it.
        answers: What each delivery is answered.
        now: On our clock.
        commit: Whether to commit too, on the way that the statements take anyway.
    """
    deliveries = document([_delivery(arrival, disposition) for arrival, disposition in answers])
    at = now.isoformat().encode()
    asked: list[Asked] = [(_DELIVER, [deliveries])]
    if recorded:
        written = (
            document(
                [
                    _event(arrival, dispositions, foreign, rows) | {"repeats": repeats.get(arrival.event.id)}
                    for arrival in recorded
                ]
            ),
            document(displaced),
            document(settled_rows(rows.values())),
        )
        asked = [(_WRITE, [deliveries, *written, at])]
    # An event that nobody knows may be what an unconfirmed submission waits for.
    unmatched = [one.event for one in recorded if dispositions[one.event.id] is Disposition.UNMATCHED]
    mrns = {comparable(event.mrn) for event in unmatched if event.mrn and event.id not in foreign}
    if mrns:
        asked.append((_HURRY, [document(list(mrns)), at]))
    if commit:
        asked.append((COMMIT, []))
    yield from exchange(link.pgconn, link.prepared, asked)


def _event(
    arrival: Arrival, dispositions: Mapping[str, Disposition], foreign: Collection[str], rows: Mapping[str, Locked]
) -> dict[str, object]:
    event = arrival.event
    is_foreign = event.id in foreign
    row = rows.get(event.cobalt_appointment_id or "") if event.kind and not is_foreign else None
    return {
        "id": event.id,
        "type": event.type,
        "disposition": dispositions[event.id],
        "appointment_id": row.id if row else None,
        "account_reference": event.account_reference,
        "of_another_account": is_foreign or None,
        "cobalt_appointment_id": event.cobalt_appointment_id,
        "mrn": event.mrn and comparable(event.mrn),
        "occurred_at": event.occurred_at,
        "received_at": arrival.received_at,
        "source": arrival.source,
        "payload": event.payload,
        "raw": None if event.raw is None else f"\\x{event.raw.hex()}",
    }


def _delivery(arrival: Arrival, disposition: Disposition) -> dict[str, object]:
    return {
        "event_id": arrival.event.id,
        "received_at": arrival.received_at,
        "source": arrival.source,
        "disposition": disposition,
        "request_id": arrival.request_id,
    }
