"""Know the linked EHR accounts: one from the environment, the others from the table, tokens encrypted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.cobalt import Credentials
from service.domain.account_health import Cause
from service.errors import ConflictError, NotFoundError
from service.postgres.engine import transaction
from service.postgres.models import Account
from service.postgres.queries import account_health, accounts, appointments, events
from service.usecases.access.stored_tokens import decrypt, encrypt
from service.usecases.events.match_waiting import match_waiting
from service.usecases.upkeep.account_health import PERSONS, note

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.config import AccountSettings


def account_timezones(session: Session, settings: AccountSettings) -> dict[str, str | None]:
    """List the accounts that an appointment can be submitted for, each with its zone; the environment's comes first."""
    own = {settings.cobalt_account: settings.cobalt_timezone} if settings.cobalt_account else {}
    return own | accounts.list_timezones(session) | own


def get_credentials(session: Session, settings: AccountSettings, name: str) -> Credentials:
    """Get what a call on behalf of an account needs.

    Raises:
        NotFoundError: There is no such account.
        SettingsError: Its token was encrypted with a key that is no longer among ``ENCRYPTION_KEYS``.
    """
    if name == settings.cobalt_account and settings.cobalt_access_token:
        return Credentials(
            account=name,
            reference=name,
            access_token=settings.cobalt_access_token,
            time_format=settings.cobalt_time_format,
            timezone=settings.cobalt_timezone,
        )
    account = accounts.find_account(session, name)
    if account is None:
        raise NotFoundError(f"there is no account {name!r}")
    token = decrypt(settings, account)
    return Credentials(name, account.reference, token, account.time_format, account.timezone)


def add_account(
    session: Session,
    settings: AccountSettings,
    *,
    name: str,
    reference: str,
    access_token: str,
    time_format: str = "as_given",
    timezone: str | None = None,
) -> None:
    """Store an account, its token encrypted with the first of ``ENCRYPTION_KEYS``.

    Raises:
        ConflictError: There is one of that name, or of that reference, already.
    """
    if name == settings.cobalt_account or accounts.find_account(session, name):
        raise ConflictError(f"there is an account {name!r} already; remove it first")
    if reference == settings.cobalt_account or accounts.find_owner(session, reference):
        raise ConflictError(f"there is an account with the reference {reference!r} already; remove it first")
    session.add(
        Account(
            name=name,
            reference=reference,
            access_token=encrypt(settings, access_token),
            time_format=time_format,
            timezone=timezone,
        )
    )
    session.flush()
    # Of one that was refused under its former token, a call tries the new one at once.
    if not account_health.find(session, name).is_untouched:
        note(session, name, PERSONS[Cause.RELINKED], now=datetime.now(UTC))


def remove_account(session: Session, name: str) -> None:
    """Forget an account and its token. Its reference is kept: events of its appointments still name it.

    Raises:
        NotFoundError: There is no such account.
    """
    reference = accounts.delete_account(session, name)
    if reference is None:
        raise NotFoundError(f"there is no stored account {name!r}")
    accounts.add_reference(session, name, reference)


def add_reference(engine: Engine, settings: AccountSettings, *, name: str, reference: str) -> int:
    """Do what a person says: Cobalt calls an account by this reference too, because it was linked anew.

    Returns:
        How many events of that reference waited for this, and are applied now.

    Raises:
        NotFoundError: There is neither such an account nor an appointment of one.
        ConflictError: Cobalt calls another account so.
    """
    with transaction(engine) as session:
        is_linked = name == settings.cobalt_account or accounts.find_account(session, name) is not None
        if not is_linked and not appointments.has_account(session, name):
            raise NotFoundError(f"there is no account {name!r}")
        owner = (
            settings.cobalt_account if reference == settings.cobalt_account else accounts.find_owner(session, reference)
        )
        if owner not in {None, name}:
            raise ConflictError(f"{reference!r} is the account {owner!r}")
        # What it was called until now: of one that is not stored that is its name.
        for account, known in appointments.find_names(session, name) | {(name, reference)}:
            accounts.add_reference(session, account, known)
        waiting = events.find_foreign(session, account=name, reference=reference)
    matched = 0
    for cobalt_id in waiting:
        with transaction(engine) as session:
            events.lock_ids(session, [cobalt_id])
            matched += match_waiting(session, cobalt_id, now=datetime.now(UTC))
    return matched
