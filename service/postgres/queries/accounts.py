"""Queries on linked EHR accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from service.postgres.models import Account, AccountReference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


def find_account(session: Session, name: str) -> Account | None:
    """Find an account by our name for it."""
    return session.get(Account, name)


def find_owner(session: Session, reference: str) -> str | None:
    """Find the account that Cobalt calls so now."""
    return session.scalars(select(Account.name).where(Account.reference == reference)).first()


def add_reference(session: Session, name: str, reference: str) -> None:
    """Note that Cobalt calls an account so too, or did."""
    session.execute(insert(AccountReference).values(account=name, reference=reference).on_conflict_do_nothing())


def list_references(session: Session) -> dict[str, set[str]]:
    """List what Cobalt calls accounts beside ``accounts.reference``, by account."""
    found: dict[str, set[str]] = {}
    for one in session.scalars(select(AccountReference)):
        found.setdefault(one.account, set()).add(one.reference)
    return found


def lock_account(session: Session, name: str) -> Account | None:
    """Find an account, and keep others from changing it."""
    return session.get(Account, name, with_for_update=True)


def list_accounts(session: Session) -> Sequence[Account]:
    """List the accounts, by name."""
    return session.scalars(select(Account).order_by(Account.name)).all()


def list_timezones(session: Session) -> dict[str, str | None]:
    """List only the names of the accounts, each with its time zone."""
    return dict(session.execute(select(Account.name, Account.timezone).order_by(Account.name)).all())


def delete_account(session: Session, name: str) -> str | None:
    """Delete an account; returns its reference, None where there was no such account."""
    return session.scalars(delete(Account).where(Account.name == name).returning(Account.reference)).first()
