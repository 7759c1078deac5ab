"""Hold an account, and have one tried again: what people say about an account's health."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.domain.account_health import Cause
from service.errors import ConflictError, NotFoundError
from service.postgres.engine import transaction
from service.postgres.queries import account_health
from service.usecases.access.accounts import account_timezones
from service.usecases.upkeep.account_health import PERSONS, note, tell

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.config import AccountSettings
    from service.domain.account_health import Hold


def hold_account(engine: Engine, settings: AccountSettings, account: str, hold: Hold) -> None:
    """Send nothing for an account from now on, until a person ends it.

    Raises:
        NotFoundError: There is no such account.
    """
    with transaction(engine) as session:
        _check(session, settings, account)
        change = note(session, account, PERSONS[Cause.HOLD], now=datetime.now(UTC), hold=hold)
    tell([change])


def resume_account(engine: Engine, settings: AccountSettings, account: str) -> None:
    """Have one call try an account at once; what waits follows when it is answered.

    Raises:
        NotFoundError: There is no such account.
        ConflictError: Nothing is amiss with it.
    """
    with transaction(engine) as session:
        _check(session, settings, account)
        standing = account_health.lock(session, account)
        if standing.may_be_called and standing.reason is None:
            raise ConflictError(f"the account {account!r} is healthy")
        change = note(session, account, PERSONS[Cause.RESUME], now=datetime.now(UTC))
    tell([change])


def _check(session: Session, settings: AccountSettings, account: str) -> None:
    if account not in account_timezones(session, settings):
        raise NotFoundError(f"there is no account {account!r}")
