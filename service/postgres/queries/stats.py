"""Reads of the counts: all of one answer from one snapshot, and none by looking through a big table."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Period:
    """Whole hours or days, UTC.

    Args:
        per: ``hour`` or ``day``: how long each bucket is.
        begins: The start of the first bucket.
        ends: The end of the last.
    """

    per: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Appointments:
    """How many appointments there are in which state."""

    status: Counter[str]
    submission: Counter[str]
    failure_category: Counter[str]

    @property
    def submitted(self) -> int:
        """How many were asked for: each of them has one status."""
        return self.status.total()


@dataclass(frozen=True, slots=True)
class Pile:
    """How much waits, and since when."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Stats:
    """What a dashboard shows.

    Args:
        as_of: PostgreSQL's clock when the snapshot was taken.
        appointments: All of them, as they are now.
        failure_codes: How many failed with each of Cobalt's codes; the rarest together as ``other``.
        oldest_processing: When that was asked for which has processed longest.
        unmatched: Events that no appointment is known for, of all accounts.
        of_another_account: Those of them whose appointment is known, and of another account.
        quarantined: What could not be read and no replay has read since, of all accounts.
        buckets: Those asked for in the period, by the start of their bucket, as they are now. Empty ones are absent.
        outcomes: Those learned in the period: where the event came from, empty for none -> histogram of outcome times.
    """

    as_of: datetime
    appointments: Appointments
    failure_codes: Mapping[str, int]
    oldest_processing: datetime | None
    unmatched: Pile
    of_another_account: Pile
    quarantined: Pile
    buckets: Mapping[datetime, Appointments]
    outcomes: Mapping[str, Counter[int]]


_OF_ACCOUNT = "(CAST(:account AS text) IS NULL OR account = :account)"

_TOTALS = text(f"""
SELECT status, submission, failure_category, sum(count)::bigint AS count FROM (
  SELECT status, submission, failure_category, count FROM appointment_counts WHERE per = 'ever' AND {_OF_ACCOUNT}
  UNION ALL
  SELECT status, submission, COALESCE(failure_category, ''), count FROM appointment_count_deltas WHERE {_OF_ACCOUNT}
) AS counted GROUP BY 1, 2, 3
""")  # noqa: S608 (constants)

_BUCKETS = text(f"""
SELECT starts_at, status, submission, failure_category, sum(count)::bigint AS count FROM (
  SELECT starts_at, status, submission, failure_category, count FROM appointment_counts
  WHERE per = :per AND starts_at >= :begins AND starts_at < :ends AND {_OF_ACCOUNT}
  UNION ALL
  SELECT date_bin(CAST('1 ' || :per AS interval), asked_hour, 'epoch'), status, submission,
    COALESCE(failure_category, ''), count
  FROM appointment_count_deltas WHERE asked_hour >= :begins AND asked_hour < :ends AND {_OF_ACCOUNT}
) AS counted GROUP BY 1, 2, 3, 4 HAVING sum(count) <> 0
""")  # noqa: S608 (constants)

_OUTCOMES = text(f"""
SELECT learned_from, took, sum(count)::bigint AS count FROM (
  SELECT learned_from, took, count FROM outcome_counts
  WHERE per = :per AND starts_at >= :begins AND starts_at < :ends AND {_OF_ACCOUNT}
  UNION ALL
  SELECT COALESCE(learned_from, ''), took, count FROM appointment_count_deltas
  WHERE settled_hour >= :begins AND settled_hour < :ends AND {_OF_ACCOUNT}
) AS counted GROUP BY 1, 2 HAVING sum(count) <> 0
""")  # noqa: S608 (constants)

MOST_CODES = 200
"""How many of Cobalt's codes are told apart; it names a dozen causes."""
OTHER = "other"
FAILURE_CODES = """
SELECT code, sum(count)::bigint AS count FROM failure_code_counts WHERE {which}
GROUP BY code HAVING sum(count) > 0 ORDER BY code = 'other', count DESC, code
"""
"""Counts failures by Cobalt's codes, the most frequent first."""
_FAILURE_CODES = text(FAILURE_CODES.format(which=_OF_ACCOUNT))

_FOREIGN = "events WHERE of_another_account IS TRUE AND disposition = 'unmatched'"
_QUARANTINED = "quarantine WHERE replayed_at IS NULL AND dismissed_at IS NULL"
_WAITING = text(f"""
SELECT now() AS as_of,
  (SELECT min(requested_at) FROM appointments WHERE status = 'processing' AND {_OF_ACCOUNT}) AS oldest_processing,
  (SELECT COALESCE(sum(count), 0)::bigint FROM unmatched_counts) AS unmatched,
  (SELECT min(received_at) FROM events WHERE disposition = 'unmatched') AS oldest_unmatched,
  (SELECT count(*) FROM {_FOREIGN}) AS foreign_events,
  (SELECT min(received_at) FROM {_FOREIGN}) AS oldest_foreign_event,
  (SELECT count(*) FROM {_QUARANTINED}) AS quarantined,
  (SELECT min(received_at) FROM {_QUARANTINED}) AS oldest_quarantined
""")  # noqa: S608 (constants)


def read_stats(session: Session, period: Period, account: str | None) -> Stats:
    """Read everything at one moment.

    Args:
        session: A transaction that has not read anything yet.
        period: For the buckets and the outcomes.
        account: Only of this one, where that makes sense.
    """
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})  # else each statement sees its own
    asked = {"account": account, "per": period.per, "begins": period.begins, "ends": period.ends}
    waiting = session.execute(_WAITING, asked).one()
    buckets: dict[datetime, list[Sequence[Any]]] = defaultdict(list)
    for starts_at, *counted in session.execute(_BUCKETS, asked):
        buckets[starts_at].append(counted)
    outcomes: dict[str, Counter[int]] = defaultdict(Counter)
    for learned_from, took, count in session.execute(_OUTCOMES, asked):
        outcomes[learned_from][took] = count
    return Stats(
        as_of=waiting.as_of,
        appointments=_appointments(session.execute(_TOTALS, asked).all()),
        failure_codes=bounded_codes(session.execute(_FAILURE_CODES, asked).all(), MOST_CODES),
        oldest_processing=waiting.oldest_processing,
        unmatched=Pile(waiting.unmatched, waiting.oldest_unmatched),
        of_another_account=Pile(waiting.foreign_events, waiting.oldest_foreign_event),
        quarantined=Pile(waiting.quarantined, waiting.oldest_quarantined),
        buckets={starts_at: _appointments(rows) for starts_at, rows in buckets.items()},
        outcomes=outcomes,
    )


def bounded_codes(counted: Iterable[Sequence[Any]], most: int) -> dict[str, int]:
    """Keep the most frequent codes, and count the others as ``other``.

    Args:
        counted: Code and count, the most frequent first.
        most: How many names there may be, ``other`` included.
    """
    found: dict[str, int] = {}
    for code, count in counted:
        name = code if len(found) < most - 1 else OTHER
        found[name] = found.get(name, 0) + count
    return found


def _appointments(rows: Iterable[Sequence[Any]]) -> Appointments:
    found = Appointments(Counter(), Counter(), Counter())
    for status, submission, failure_category, count in rows:
        found.status[status] += count
        found.submission[submission] += count
        if failure_category:
            found.failure_category[failure_category] += count
    return found
