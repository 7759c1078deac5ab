"""Queries that keep the counts: triggers write deltas, these fold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_LOCK = "hashtextextended('cobalt-appointments counts', 0)"

_FOLD = text("""
WITH folded AS (
  DELETE FROM appointment_count_deltas
  WHERE ctid = ANY(ARRAY(SELECT ctid FROM appointment_count_deltas LIMIT :most)) RETURNING *
), appointments AS (
  INSERT INTO appointment_counts AS c (per, starts_at, account, status, submission, failure_category, count)
  SELECT per, starts_at, account, status, submission, COALESCE(failure_category, ''), sum(count)
  FROM folded CROSS JOIN LATERAL (VALUES
    ('hour', asked_hour), ('day', date_bin('1 day', asked_hour, 'epoch')), ('ever', timestamptz 'epoch')
  ) AS stretch (per, starts_at)
  GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(count) <> 0
  ON CONFLICT ON CONSTRAINT pk_appointment_counts DO UPDATE SET count = c.count + excluded.count
), outcomes AS (
  INSERT INTO outcome_counts AS c (per, starts_at, account, learned_from, took, count)
  SELECT per, starts_at, account, COALESCE(learned_from, ''), took, sum(count)
  FROM folded CROSS JOIN LATERAL (VALUES
    ('hour', settled_hour), ('day', date_bin('1 day', settled_hour, 'epoch'))
  ) AS stretch (per, starts_at)
  WHERE settled_hour IS NOT NULL
  GROUP BY 1, 2, 3, 4, 5 HAVING sum(count) <> 0
  ON CONFLICT ON CONSTRAINT pk_outcome_counts DO UPDATE SET count = c.count + excluded.count
)
SELECT count(*) FROM folded
""")

# One that is alone is the sum already.
_FOLD_UNMATCHED = text("""
WITH folded AS (
  DELETE FROM unmatched_counts WHERE ctid = ANY(ARRAY(SELECT ctid FROM unmatched_counts LIMIT :most))
    AND (SELECT count(*) FROM (SELECT FROM unmatched_counts LIMIT 2) AS two) > 1
  RETURNING count
), sum AS (
  INSERT INTO unmatched_counts SELECT sum(count) FROM folded HAVING count(*) > 0
)
SELECT count(*) FROM folded
""")

_FOLD_FAILURE_CODES = text("""
WITH folded AS (
  DELETE FROM failure_code_counts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM failure_code_counts f WHERE EXISTS (
      SELECT FROM failure_code_counts o WHERE o.account = f.account AND o.code = f.code AND o.ctid <> f.ctid)
    LIMIT :most))
  RETURNING account, code, count
), summed AS (
  INSERT INTO failure_code_counts
  SELECT account, code, sum(count) FROM folded GROUP BY account, code HAVING sum(count) <> 0
)
SELECT count(*) FROM folded
""")

# In one statement, so that all of it sees the same moment: whoever writes meanwhile adds deltas that this neither
# sees nor deletes.
_RECOUNT = text("""
WITH former_deltas AS (DELETE FROM appointment_count_deltas),
  former_counts AS (DELETE FROM appointment_counts),
  former_outcomes AS (DELETE FROM outcome_counts),
  former_unmatched AS (DELETE FROM unmatched_counts),
  former_codes AS (DELETE FROM failure_code_counts),
  codes AS (
    INSERT INTO failure_code_counts
    SELECT account, code, count(*) FROM appointments, unnest(countable_failure_codes(failure)) AS code
    WHERE failure IS NOT NULL GROUP BY account, code
  ),
  unmatched AS (
    INSERT INTO unmatched_counts SELECT count(*) FROM events WHERE disposition = 'unmatched' HAVING count(*) > 0
  )
INSERT INTO appointment_count_deltas
  (asked_hour, account, status, submission, failure_category, settled_hour, learned_from, took, count)
SELECT date_bin('1 hour', created_at, 'epoch'), account, status, submission, failure_category,
  date_bin('1 hour', settled_at, 'epoch'), learned_from, outcome_bucket(requested_at, settled_at), count(*)
FROM appointments GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
""")


def try_lock(session: Session) -> bool:
    """Take the right to fold until the transaction ends; False when another has it."""
    return bool(session.scalar(text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")))


def lock(session: Session) -> None:
    """Wait for the right to fold, and take it until the transaction ends."""
    session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def fold(session: Session, *, most: int) -> int:
    """Fold so many deltas at most into the counts; returns how many. The caller holds the lock."""
    return int(session.scalar(_FOLD, {"most": most}) or 0)


def fold_unmatched(session: Session, *, most: int) -> int:
    """Fold so many counts of unmatched events at most into one; returns how many there were. As above."""
    return int(session.scalar(_FOLD_UNMATCHED, {"most": most}) or 0)


def fold_failure_codes(session: Session, *, most: int) -> int:
    """Fold so many counts of failures by code at most; returns how many there were. As above."""
    return int(session.scalar(_FOLD_FAILURE_CODES, {"most": most}) or 0)


def recount(session: Session) -> None:
    """Count everything anew from the tables themselves; it is deltas again, to be folded. As above."""
    session.execute(_RECOUNT)
