"""Queries on the health of accounts: which may be called, and who may try one that may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from service.domain.account_health import Health, Hold, Reason, Standing
from service.postgres.conditions import IS_QUEUED
from service.postgres.models import AccountHealth

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session

MAY_BE_CALLED = """
NOT EXISTS (SELECT FROM account_health AS known WHERE known.account = {account} AND known.health <> 'healthy')
"""
"""Is true of an account that is not left alone."""

# Who gets the row makes the call; all others find the next time in it.
_CLAIM = text("""
WITH due AS (
  SELECT account FROM account_health WHERE account = ANY(:accounts) AND probe_at <= :now
  ORDER BY account FOR UPDATE SKIP LOCKED
)
UPDATE account_health AS h SET probe_at = :now + CAST(:interval AS interval)
FROM due WHERE h.account = due.account
RETURNING h.account, h.health, h.reason, h.since, h.probe_at, h.slowed, h.version
""")


def find_all(session: Session) -> dict[str, Standing]:
    """Find where each account stands that ever was in trouble."""
    return {row.account: _standing(row) for row in session.scalars(select(AccountHealth))}


def may_be_called(session: Session, accounts: Iterable[str]) -> list[str]:
    """Say which of these accounts are not left alone, in their order."""
    standings = find_all(session)
    return [name for name in accounts if name not in standings or standings[name].may_be_called]


def find(session: Session, account: str) -> Standing:
    """Find where an account stands, without a lock."""
    row = session.get(AccountHealth, account)
    return Standing() if row is None else _standing(row)


def lock(session: Session, account: str) -> Standing:
    """Find where an account stands, and keep others from changing it. Lock it before any appointment."""
    session.execute(insert(AccountHealth).values(account=account).on_conflict_do_nothing())
    return _standing(session.get_one(AccountHealth, account, with_for_update=True, populate_existing=True))


def write(session: Session, account: str, standing: Standing, hold: Hold | None = None) -> None:
    """Write where a locked account stands now; who holds it is forgotten when nobody does."""
    values: dict[str, object] = {
        "health": standing.health.value,
        "reason": standing.reason and standing.reason.value,
        "since": standing.since,
        "probe_at": standing.probe_at,
        "slowed": standing.slowed,
        "version": standing.version,
    }
    if hold is not None or standing.health is not Health.HELD:
        values |= {"held_by": hold and hold.by, "held_why": hold and hold.why}
    session.execute(update(AccountHealth).where(AccountHealth.account == account).values(values))


def claim_probes(
    session: Session, *, accounts: Collection[str], now: datetime, interval: timedelta
) -> dict[str, Standing]:
    """Claim the right to make one call for each of these accounts whose time to be tried has come."""
    rows = session.execute(_CLAIM, {"accounts": list(accounts), "now": now, "interval": interval})
    return {row.account: _standing(row) for row in rows}


def find_holds(session: Session) -> dict[str, Hold]:
    """Find who holds which accounts, and why."""
    held = select(AccountHealth).where(AccountHealth.held_by.is_not(None))
    return {row.account: Hold(row.held_by or "", row.held_why) for row in session.scalars(held)}


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits to be sent for an account."""

    length: int
    oldest: datetime


def find_queues(session: Session, account: str | None = None) -> dict[str, Queue]:
    """Find what waits to be sent, for all accounts or for one."""
    rows = session.execute(_QUEUES, {"account": account})
    return {row.account: Queue(row.length, row.oldest) for row in rows}


# By the small index of what is queued.
_QUEUES = text(f"""
SELECT account, count(*) AS length, min(requested_at) AS oldest FROM appointments
WHERE {IS_QUEUED} AND (CAST(:account AS text) IS NULL OR account = :account) GROUP BY account
""")  # noqa: S608 (constants)


def find_called(session: Session, references: Collection[str]) -> Mapping[str, str]:
    """Find which account Cobalt calls so now, for each of these references; those that are nobody's are absent.

    What a stored account was called before is not asked: an event about that link says nothing of the new one.
    """
    rows = session.execute(_CALLED, {"references": list(references)})
    return {row.reference: row.account for row in rows}


# The environment's account has no row: it is known by its appointments, under its reference or one that a person added.
_CALLED = text("""
SELECT reference, account FROM (
  SELECT reference, name AS account FROM accounts WHERE reference = ANY(:references)
  UNION
  SELECT reference, account FROM (
    SELECT reference, account FROM account_references WHERE reference = ANY(:references)
    UNION SELECT reference, reference FROM unnest(CAST(:references AS text[])) AS reference
  ) AS known
  WHERE NOT EXISTS (SELECT FROM accounts WHERE name = known.account OR accounts.reference = known.reference)
    AND EXISTS (SELECT FROM appointments WHERE appointments.account = known.account)
) AS found
ORDER BY account DESC
""")


def _standing(row: object) -> Standing:
    found: AccountHealth = row  # type: ignore[assignment]  # or a row with its columns
    return Standing(
        health=Health(found.health),
        reason=None if found.reason is None else Reason(found.reason),
        since=found.since,
        probe_at=found.probe_at,
        slowed=found.slowed,
        version=found.version,
    )
