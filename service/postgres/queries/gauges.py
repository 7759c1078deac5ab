"""What the tables say about how things stand, in figures that cost little: for monitoring, every few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.domain.account_health import Health
from service.domain.submission import CallOutcome
from service.postgres.conditions import IS_UNCONFIRMED
from service.postgres.queries.stats import FAILURE_CODES, bounded_codes

if TYPE_CHECKING:
    import psycopg

# All on partial indexes: what is still to be done is few, however much is settled. What is settled is counted already.
_OPEN = f"""
SELECT count(*), extract(epoch FROM now() - min(requested_at))::float8,
  (SELECT count(*) FROM appointments WHERE {IS_UNCONFIRMED}),
  (SELECT count(*) FROM events WHERE disposition = 'unmatched'),
  (SELECT count(*) FROM events WHERE of_another_account IS TRUE AND disposition = 'unmatched'),
  (SELECT count(*) FROM quarantine WHERE replayed_at IS NULL AND dismissed_at IS NULL),
  (SELECT count(*) FROM submissions WHERE outcome = '{CallOutcome.ACCEPTED_LATE}')
FROM appointments WHERE status = 'processing'
"""  # noqa: S608 (constants)
_NOT_HEALTHY = [health.value for health in Health if health is not Health.HEALTHY]
_HELD = "SELECT health, count(*) FROM account_health WHERE health <> 'healthy' GROUP BY health"
_SETTLED = """
SELECT status, sum(count)::bigint FROM (
  SELECT status, count FROM appointment_counts WHERE per = 'ever'
  UNION ALL
  SELECT status, count FROM appointment_count_deltas
) AS counted WHERE status <> 'processing' GROUP BY status
"""


MOST_CODES = 50
"""How many series there may be of failures by code."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand.

    Args:
        by_status: Status -> appointments.
        by_code: Cobalt's code -> failures; the rarest together as ``other``.
        oldest_processing: Seconds since the oldest that still processes was asked for; 0 when none does.
        unconfirmed: Submissions of which nobody knows whether Cobalt took them.
        unmatched: Events that wait for their appointment to become known; Cobalt also tells of others' for good.
        of_other_accounts: Those of them whose appointment is known, and of another account.
        quarantined: What could not be read and was not replayed.
        accepted_late: Calls that Cobalt took, when the appointment had moved on.
        held_accounts: Health -> accounts that have it, of those for which nothing is sent.
    """

    by_status: dict[str, int]
    by_code: dict[str, int]
    oldest_processing: float
    unconfirmed: int
    unmatched: int
    of_other_accounts: int
    quarantined: int
    accepted_late: int
    held_accounts: dict[str, int]


def measure(connection: psycopg.Connection[Any]) -> Standing:
    """Measure how things stand, over a connection whose statements are short of time."""
    row = connection.execute(_OPEN).fetchone()
    assert row is not None  # noqa: S101  an aggregate has one
    processing, oldest, *counts = row
    by_status = {"processing": processing} | count_settled(connection)
    counts.append(dict.fromkeys(_NOT_HEALTHY, 0) | dict(connection.execute(_HELD).fetchall()))
    by_code = bounded_codes(connection.execute(FAILURE_CODES.format(which="true").encode()).fetchall(), MOST_CODES)
    return Standing(by_status, by_code, oldest or 0.0, *counts)


def count_settled(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Look up how many appointments are settled, by status."""
    return {"created": 0, "failed": 0} | dict(connection.execute(_SETTLED).fetchall())
