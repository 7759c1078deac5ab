"""Queries on the catalogues of accounts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from service.domain.catalogue import KINDS, Entry
from service.domain.catalogue import Catalogue as Listed
from service.postgres.models import Catalogue

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

_CLAIM = text("""
UPDATE catalogues SET due_at = :until WHERE account = (
  SELECT account FROM catalogues WHERE account = ANY(:accounts) AND due_at <= :now
  ORDER BY due_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
) RETURNING account
""")


def find_catalogue(session: Session, account: str) -> Catalogue | None:
    """Find the row of an account; None before it was first asked for."""
    return session.get(Catalogue, account)


def find_fresh(session: Session, account: str, *, since: datetime) -> Listed | None:
    """Find the lists of an account that may be judged by: fetched since then, and not switched off."""
    fresh = select(Catalogue).where(Catalogue.account == account, Catalogue.preflight, Catalogue.fetched_at > since)
    row = session.scalars(fresh).first()
    return listed(row) if row else None


def listed(row: Catalogue) -> Listed | None:
    """Return what a row lists; None before it was first fetched."""
    if row.fetched_at is None:
        return None
    return Listed({kind: [Entry(**one) for one in getattr(row, kind)] for kind in KINDS}, row.fetched_at)


def ensure(session: Session, accounts: Collection[str], *, now: datetime) -> None:
    """Make the rows of accounts that have none: their catalogues are due now."""
    if accounts:
        rows = [{"account": account, "due_at": now} for account in accounts]
        session.execute(insert(Catalogue).values(rows).on_conflict_do_nothing())


def claim(session: Session, accounts: Collection[str], *, now: datetime, until: datetime) -> str | None:
    """Take the right to ask for the catalogue that is due for longest; nobody else does until then."""
    ensure(session, accounts, now=now)
    found: str | None = session.execute(
        _CLAIM, {"accounts": list(accounts), "now": now, "until": until}
    ).scalar_one_or_none()
    return found


def keep(session: Session, account: str, entries: Mapping[str, Sequence[Entry]], *, now: datetime) -> None:
    """Keep what Cobalt listed just now."""
    found = {kind: [asdict(one) for one in entries[kind]] for kind in KINDS}
    session.execute(update(Catalogue).where(Catalogue.account == account).values(**found, fetched_at=now, problem=None))


def note_problem(session: Session, account: str, problem: str) -> None:
    """Note why the lists of an account could not be fetched; what was there stays."""
    session.execute(update(Catalogue).where(Catalogue.account == account).values(problem=problem))


def set_preflight(session: Session, account: str, *, on: bool) -> None:
    """Switch the check of an account's requests on or off."""
    values = insert(Catalogue).values(account=account, preflight=on)
    session.execute(values.on_conflict_do_update(index_elements=["account"], set_={"preflight": on}))
