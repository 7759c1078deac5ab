"""The appointments and events that are there before anything is measured, made by PostgreSQL itself."""

from collections.abc import Callable
from datetime import timedelta

import psycopg

from service.lab.bench.requests import Waiting
from service.postgres.engine import make_engine
from service.postgres.sessions import connect
from service.usecases.upkeep.keep_counts import recount

CHUNK = 10_000  # appointments a transaction: often enough for a bar that moves

# Settled a while ago, one after the other; two in ten failed. Ids have the form of ours and sort by time; patients
# come back three times each, in no order.
_HISTORY = """
INSERT INTO appointments (id, account, status, attempt_since, request, mrn, provider, type, starts_local, request_id,
  cobalt_appointment_id, submission, tries, due_at, sent_at, accepted_at, ruling_event_id, ruling_at, failures,
  confirmation, failure_category, failure, created_at, updated_at, requested_at, settled_at, learned_from, version)
SELECT 'appt_00' || lpad(i::text, 24, '0'), %(account)s, CASE WHEN fails THEN 'failed' ELSE 'created' END, 'epoch',
  jsonb_build_object('mrn', mrn, 'location', 'Main Clinic', 'date', '2025-01-15', 'time', '10:00',
    'provider', 'Dr. Smith', 'type', 'new_patient'),
  mrn, 'Dr. Smith', 'new_patient', '2025-01-15 10:00', 'req_history', (100000000 + i)::text, 'accepted', 1,
  at, at, at, 'evt_' || left(md5('1' || i), 24), at, fails::int,
  CASE WHEN NOT fails THEN jsonb_build_object('date_time', '2025-01-15T10:00', 'timezone', 'America/New_York',
    'starts_at', '2025-01-15T15:00:00+00:00', 'provider_id', 'emr_prov_123', 'provider_name', 'Dr. Smith',
    'secondary_provider_id', 'emr_sec_prov_456') END,
  CASE WHEN fails THEN (ARRAY['patient_not_found', 'provider_not_found', 'schedule_block'])[1 + i %% 3] END,
  CASE WHEN fails THEN jsonb_build_object('reason', 'Patient MRN ''' || mrn || ''' not found in eCW.',
    'details', '{}'::jsonb, 'occurred_at', '2025-01-01T00:00:00+00:00', 'mrn', mrn) END,
  at, at + interval '3 minutes', at, at + interval '3 minutes', 'webhook', 2
FROM (
  SELECT i, i %% 10 < 2 AS fails, (300000000 + abs(hashint8(i)) %% greatest(%(all)s / 3, 1))::text AS mrn,
    now() - interval '1 year' * (%(all)s - i + 1) / %(all)s AS at
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
) AS asked
"""
_EVENTS = """
INSERT INTO events (id, type, disposition, appointment_id, account_reference, cobalt_appointment_id, occurred_at,
  received_at, source, payload)
SELECT 'evt_' || left(md5(n::text || a.number), 24),
  CASE WHEN n = 2 THEN 'appointment.updated' ELSE 'appointment.' || a.status END,
  CASE WHEN n = 2 THEN 'ignored' ELSE 'applied' END, a.id, a.account, a.cobalt_appointment_id, a.settled_at,
  a.settled_at, 'webhook',
  jsonb_build_object('id', 'evt_' || left(md5(n::text || a.number), 24), 'access_token_reference_id', a.account,
    'object', 'event', 'created', '2025-01-01T00:00:00Z', 'type', 'appointment.' || a.status,
    'data', coalesce(a.confirmation, a.failure)
      || jsonb_build_object('appointment_id', a.cobalt_appointment_id, 'mrn', a.mrn))
FROM (
  SELECT *, ltrim(substr(id, 8), '0') AS number FROM appointments
  WHERE id BETWEEN 'appt_00' || lpad(%(first)s::text, 24, '0') AND 'appt_00' || lpad(%(last)s::text, 24, '0')
) AS a, generate_series(1, 2) AS n
"""
_DELIVERIES = """
INSERT INTO deliveries (event_id, received_at, source, disposition, request_id)
SELECT 'evt_' || left(md5(n::text || i), 24), now(), 'webhook', CASE WHEN n = 2 THEN 'ignored' ELSE 'applied' END,
  'req_history'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i, generate_series(1, 2) AS n
"""
# Taken by Cobalt a moment ago, as those are that events are about; nobody asks about them before tomorrow.
_WAITING = """
INSERT INTO appointments (id, account, attempt_since, request, mrn, provider, type, starts_local, request_id,
  cobalt_appointment_id, submission, tries, due_at, sent_at, accepted_at)
SELECT 'appt_010' || lpad(i::text, 23, '0'), %(account)s, 'epoch',
  jsonb_build_object('mrn', mrn, 'location', 'Main Clinic', 'date', '2030-01-15', 'time', '10:00',
    'provider', 'Dr. Smith', 'type', 'new_patient'),
  mrn, 'Dr. Smith', 'new_patient', '2030-01-15 10:00', 'req_waiting', (500000000 + i)::text, 'accepted', 1,
  now() + interval '1 day', now(), now()
FROM (
  SELECT i, (400000000 + abs(hashint8(i)) %% 100000000)::text AS mrn
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
) AS asked
"""
_LAST_WAITING = "SELECT coalesce(max(substr(id, 9)::bigint), 0) FROM appointments WHERE id LIKE 'appt\\_010%'"
_STILL_WAITING = """
SELECT cobalt_appointment_id, mrn FROM appointments
WHERE status = 'processing' AND submission = 'accepted' AND id > 'appt_010' AND id < 'appt_011'
ORDER BY id LIMIT %s
"""


def load_history(database_url: str, account: str, count: int, advance: Callable[[int], None]) -> None:
    """Fill an empty database with settled appointments.

    Args:
        database_url: of a migrated database.
        account: whose they are.
        count: how many; each has two events, and each event one delivery.
        advance: called with how many more there are.
    """
    with connect(database_url, autocommit=True) as connection:
        # Foreign keys hold by the way it is made; the indexes are not made afterwards, which would make them denser
        # than those of a database that grew.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        for first in range(1, count + 1, CHUNK):
            last = min(first + CHUNK - 1, count)
            parameters = {"account": account, "all": count, "first": first, "last": last}
            with connection.transaction():
                for statement in (_HISTORY, _EVENTS, _DELIVERIES):
                    connection.execute(statement, parameters)
            advance(last - first + 1)
    _count(database_url)
    with connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _count(database_url: str) -> None:
    """Count what was loaded past the triggers."""
    longest = timedelta(minutes=30)
    engine = make_engine(database_url, pool=1, statement_timeout=longest, lock_timeout=longest)
    recount(engine)
    engine.dispose()


def waiting_appointments(database_url: str, account: str, count: int) -> list[Waiting]:
    """Get so many appointments that an event can settle, and make those that are missing."""
    with connect(database_url, autocommit=True) as connection:
        found = _still_waiting(connection, count)
        if len(found) < count:
            row = connection.execute(_LAST_WAITING).fetchone()
            last = 0 if row is None else int(row[0])
            missing = count - len(found)
            connection.execute(_WAITING, {"account": account, "first": last + 1, "last": last + missing})
            connection.execute("ANALYZE appointments")
            found = _still_waiting(connection, count)
    return found


def _still_waiting(connection: psycopg.Connection, count: int) -> list[Waiting]:
    return [Waiting(*row) for row in connection.execute(_STILL_WAITING, [count])]


def some_ids(database_url: str, count: int) -> list[str]:
    """Ids of appointments from all over the table, in no order."""
    with connect(database_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT id FROM appointments WHERE id LIKE 'appt\\_00%%' ORDER BY random() LIMIT %s", [count]
        ).fetchall()
    return [str(row[0]) for row in rows]


def checkpoint(database_url: str) -> None:
    """Have everything written to the tables' files, so that no measurement pays for it."""
    with connect(database_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
