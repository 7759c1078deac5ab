"""Know the linked EHR accounts: one from the environment, the others from the table, tokens encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.cobalt import Credentials
from service.errors import ConflictError, NotFoundError, SettingsError
from service.models import Account
from service.store import accounts

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.config import AccountSettings


def account_timezones(session: Session, settings: AccountSettings) -> dict[str, str | None]:
    """List the accounts that an appointment can be submitted for, each with its zone; the environment's comes first."""
    own = {settings.cobalt_account: settings.cobalt_timezone} if settings.cobalt_account else {}
    return own | accounts.list_timezones(session) | own


def account_references(session: Session, settings: AccountSettings) -> dict[str, str]:
    """Map Cobalt's ``access_token_reference_id`` to our account, for every account."""
    stored = {account.reference: account.name for account in accounts.list_accounts(session)}
    own = {settings.cobalt_account: settings.cobalt_account} if settings.cobalt_account else {}
    return stored | own


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
    try:
        token = _fernet(settings).decrypt(account.access_token).decode()
    except InvalidToken as error:
        raise SettingsError(f"ENCRYPTION_KEYS: none of them decrypts the token of account {name!r}") from error
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
    if reference == settings.cobalt_account or accounts.has_reference(session, reference):
        raise ConflictError(f"there is an account with the reference {reference!r} already; remove it first")
    session.add(
        Account(
            name=name,
            reference=reference,
            access_token=_fernet(settings).encrypt(access_token.encode()),
            time_format=time_format,
            timezone=timezone,
        )
    )


def _fernet(settings: AccountSettings) -> MultiFernet:
    if not settings.encryption_keys:
        raise SettingsError("ENCRYPTION_KEYS: is missing; stored access tokens are encrypted with it")
    return MultiFernet([Fernet(key) for key in settings.encryption_keys])
