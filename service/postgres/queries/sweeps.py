"""Queries on the walks over Cobalt's events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from service.postgres.conditions import IS_AWAITED
from service.postgres.models import Appointment, Sweep

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Claimed:
    """The right to walk over an account's events, until its lease ends.

    Args:
        account: Whose.
        swept_to: Its high-water mark; None before the first walk.
    """

    account: str
    swept_to: datetime | None


_DUE = text("""
SELECT account FROM sweeps
WHERE account = ANY(:accounts) AND due_at <= :now AND (lease_until IS NULL OR lease_until < :now)
ORDER BY due_at LIMIT 1
""")


def ensure(session: Session, accounts: Collection[str], *, now: datetime) -> None:
    """Make the rows of accounts that have none: their first walk is due now."""
    if accounts:
        rows = [{"account": account, "due_at": now} for account in accounts]
        session.execute(insert(Sweep).values(rows).on_conflict_do_nothing())


def find_due(session: Session, accounts: Collection[str], *, now: datetime) -> str | None:
    """Find the account whose walk is due for longest, and not under way."""
    found: str | None = session.execute(_DUE, {"accounts": list(accounts), "now": now}).scalar_one_or_none()
    return found


def claim(session: Session, account: str, *, now: datetime, lease_until: datetime) -> Claimed | None:
    """Take the right to walk over an account's events; None while somebody else has it."""
    free = Sweep.lease_until.is_(None) | (Sweep.lease_until < now)
    taken = update(Sweep).where(Sweep.account == account, free).values(lease_until=lease_until)
    row = session.execute(taken.returning(Sweep.swept_to)).first()
    return Claimed(account, row.swept_to) if row else None


def renew(session: Session, account: str, *, lease_until: datetime) -> None:
    """Have the walk under way believed in for longer."""
    session.execute(update(Sweep).where(Sweep.account == account).values(lease_until=lease_until))


def finish(session: Session, account: str, *, swept_to: datetime, swept_at: datetime, due_at: datetime) -> None:
    """Note a whole walk. The mark never goes back."""
    values = {
        "swept_to": func.greatest(Sweep.swept_to, swept_to),
        "swept_at": swept_at,
        "due_at": due_at,
        "lease_until": None,
    }
    session.execute(update(Sweep).where(Sweep.account == account).values(values))


def put_off(session: Session, account: str, *, due_at: datetime) -> None:
    """Give back the right to a walk that broke off; the mark stays where it was."""
    session.execute(update(Sweep).where(Sweep.account == account).values(due_at=due_at, lease_until=None))


def request_all(session: Session, *, now: datetime) -> None:
    """Have all accounts walked over as soon as a worker can."""
    session.execute(update(Sweep).where(Sweep.due_at > now).values(due_at=now))


def swept_at(session: Session, account: str) -> datetime | None:
    """Say when the latest whole walk over an account's events began; None before the first."""
    return session.scalars(select(Sweep.swept_at).where(Sweep.account == account)).first()


def oldest_open(session: Session, account: str) -> datetime | None:
    """Say when the oldest request of an account that waits for its outcome was sent."""
    oldest = select(func.min(Appointment.sent_at)).where(Appointment.account == account, text(IS_AWAITED))
    return session.scalars(oldest).first()
