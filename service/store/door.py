"""The statements of the one door: what a batch of events reads under its locks, and what it writes.

Few, because each costs the driver and PostgreSQL more than the rows in it: one to lock, one to read, one to write.
A batch travels as JSON documents, which PostgreSQL takes apart faster than a driver can write arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import namedtuple_row

from service.db import document, pipelined
from service.states import Disposition
from service.store.appointments import LOCK, SETTLE, Locked, read_locked, settled_rows
from service.store.asking import hurry
from service.store.events import LOCK_IDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    import psycopg

    from service.store.events import Arrival

_READ = f"""
WITH held AS ({LOCK})
SELECT held.*, ARRAY(
  SELECT id FROM events WHERE id = ANY(ARRAY(SELECT json_array_elements_text(%(event_ids)s)))
) AS known_event_ids
FROM (VALUES (1)) AS once LEFT JOIN held ON true
"""  # noqa: S608 (constants)

_WRITE = f"""
WITH recorded AS (
  INSERT INTO events (id, type, disposition, appointment_id, account_reference, cobalt_appointment_id, mrn,
                      occurred_at, received_at, source, payload, raw)
  SELECT id, type, disposition, appointment_id, account_reference, cobalt_appointment_id, mrn, occurred_at,
         received_at, source, payload, raw
  FROM json_to_recordset(%(events)s) AS new(
    id text, type text, disposition text, appointment_id text, account_reference text, cobalt_appointment_id text,
    mrn text, occurred_at timestamptz, received_at timestamptz, source text, payload jsonb, raw bytea)
), displaced AS (
  UPDATE events SET disposition = 'superseded' WHERE id = ANY(ARRAY(SELECT json_array_elements_text(%(displaced)s)))
), settled AS ({SETTLE})
"""  # noqa: S608 (constants)

_DELIVER = """
INSERT INTO deliveries (event_id, received_at, source, disposition, request_id)
SELECT event_id, received_at, source, disposition, request_id
FROM json_to_recordset(%(deliveries)s) AS new(
  event_id text, received_at timestamptz, source text, disposition text, request_id text)
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a batch found under its locks.

    Args:
        known: Which of its events are recorded already.
        rows: The appointments that its events name, by Cobalt's id.
    """

    known: Collection[str]
    rows: dict[str, Locked]


def read(
    connection: psycopg.Connection[Any],
    *,
    held: Collection[str],
    event_ids: Collection[str],
    cobalt_ids: Collection[str],
) -> Found:
    """Take a batch's locks, and read what it needs to know.

    Args:
        connection: In whose transaction.
        held: Ids to hold first, so that what races for them is seen.
        event_ids: Events that may be known.
        cobalt_ids: Appointments to lock.
    """
    holding, naming, asking = document(list(held)), document(list(cobalt_ids)), document(list(event_ids))
    with pipelined(connection, holding, naming, asking):
        connection.execute(LOCK_IDS, {"held": holding})
        # A statement of its own: it has to see what was committed while the first one waited.
        found = connection.cursor(row_factory=namedtuple_row).execute(
            _READ, {"cobalt_ids": naming, "event_ids": asking}
        )
    rows: list[Any] = found.fetchall()
    return Found(rows[0].known_event_ids, read_locked(row for row in rows if row.id is not None))


def write(
    connection: psycopg.Connection[Any],
    *,
    recorded: Sequence[Arrival],
    dispositions: Mapping[str, Disposition],
    rows: Mapping[str, Locked],
    displaced: Sequence[str],
    answers: Iterable[tuple[Arrival, Disposition]],
    now: datetime,
    commit: bool,
) -> None:
    """Write what became of a batch; raises a UniqueViolation when one of the new events became known meanwhile.

    Args:
        connection: In whose transaction.
        recorded: The new events.
        dispositions: What became of each of them.
        rows: The appointments, as the rule left them.
        displaced: Earlier events that no longer decide anything.
        answers: What each delivery is answered.
        now: On our clock.
        commit: Whether to commit too, on the way that the last statement takes anyway.
    """
    parameters = {"deliveries": document([_delivery(arrival, disposition) for arrival, disposition in answers])}
    if recorded:
        parameters |= {
            "events": document([_event(arrival, dispositions, rows) for arrival in recorded]),
            "displaced": document(displaced),
            "rows": document(settled_rows(rows.values())),
        }
    # An event that nobody knows may be what an unconfirmed submission waits for.
    mrns = {one.event.mrn for one in recorded if dispositions[one.event.id] is Disposition.UNMATCHED} - {None}
    with pipelined(connection, *parameters.values()):
        connection.execute(_WRITE + _DELIVER if recorded else _DELIVER, {**parameters, "now": now})
        if mrns:
            hurry(connection, mrns, now=now)
        if commit:
            connection.commit()


def _event(arrival: Arrival, dispositions: Mapping[str, Disposition], rows: Mapping[str, Locked]) -> dict[str, object]:
    event = arrival.event
    row = rows.get(event.cobalt_appointment_id or "") if event.kind else None
    return {
        "id": event.id,
        "type": event.type,
        "disposition": dispositions[event.id],
        "appointment_id": row.id if row else None,
        "account_reference": event.account_reference,
        "cobalt_appointment_id": event.cobalt_appointment_id,
        "mrn": event.mrn,
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
