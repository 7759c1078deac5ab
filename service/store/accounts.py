"""Queries on linked EHR accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from service.models import Account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


def find_account(session: Session, name: str) -> Account | None:
    """Find an account by our name for it."""
    return session.get(Account, name)


def has_reference(session: Session, reference: str) -> bool:
    """Tell whether an account has this reference at Cobalt."""
    return session.scalars(select(Account.name).where(Account.reference == reference)).first() is not None


def list_accounts(session: Session) -> Sequence[Account]:
    """List the accounts, by name."""
    return session.scalars(select(Account).order_by(Account.name)).all()


def list_timezones(session: Session) -> dict[str, str | None]:
    """List only the names of the accounts, each with its time zone."""
    return dict(session.execute(select(Account.name, Account.timezone).order_by(Account.name)).all())


def delete_account(session: Session, name: str) -> bool:
    """Forget an account; tells whether there was one."""
    return bool(session.scalars(delete(Account).where(Account.name == name).returning(Account.name)).first())
