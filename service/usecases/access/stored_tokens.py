"""Access tokens of stored accounts: encrypted with the first of ``ENCRYPTION_KEYS``, and readable by any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.errors import SettingsError
from service.postgres.engine import transaction
from service.postgres.queries import accounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from service.config import AccountSettings
    from service.postgres.models import Account

MISSING = "ENCRYPTION_KEYS: is missing; stored access tokens are encrypted with it"


@dataclass(frozen=True, slots=True)
class Rotation:
    """What became of the stored tokens.

    Args:
        rotated: How many were encrypted anew.
        already: How many had the first key already.
        left: The accounts whose token none of the keys decrypts.
    """

    rotated: int
    already: int
    left: Sequence[str]


def encrypt(settings: AccountSettings, token: str) -> bytes:
    """Encrypt a token with the first key.

    Raises:
        SettingsError: There is none.
    """
    return _keys(settings).encrypt(token.encode())


def decrypt(settings: AccountSettings, account: Account) -> str:
    """Decrypt the token of an account.

    Raises:
        SettingsError: It was encrypted with a key that is no longer among ``ENCRYPTION_KEYS``.
    """
    try:
        return _keys(settings).decrypt(account.access_token).decode()
    except InvalidToken as error:
        raise SettingsError(f"ENCRYPTION_KEYS: none of them decrypts the token of account {account.name!r}") from error


def check_tokens(engine: Engine, settings: AccountSettings) -> None:
    """See to it that every stored token can be decrypted: else nothing of its account would reach Cobalt.

    Raises:
        SettingsError: There is no key although there are accounts; or none of the keys decrypts a token. One line,
            which names the accounts.
        DatabaseUnavailableError: It cannot be told now.
    """
    with transaction(engine) as session:
        stored = accounts.list_accounts(session)
        if stored and not settings.encryption_keys:
            raise SettingsError(f"{MISSING}, and there are: {', '.join(account.name for account in stored)}")
        unreadable = [account.name for account in stored if not _is_readable(settings, account)]
    if unreadable:
        raise SettingsError(f"ENCRYPTION_KEYS: none of them decrypts the access token of {', '.join(unreadable)}")


def rotate_tokens(engine: Engine, settings: AccountSettings) -> Rotation:
    """Encrypt every stored token with the first key, each in a transaction of its own.

    Others may read, add and remove accounts meanwhile, and it may be broken off anywhere: done again, it goes on.

    Raises:
        SettingsError: There is no key.
    """
    keys, first = _keys(settings), Fernet(settings.encryption_keys[0])
    with transaction(engine) as session:
        names = [account.name for account in accounts.list_accounts(session)]
    rotated, already, left = 0, 0, []
    for name in names:
        with transaction(engine) as session:
            account = accounts.lock_account(session, name)
            if account is None:
                continue  # removed meanwhile
            if _opens(first, account.access_token):
                already += 1
            elif _opens(keys, account.access_token):
                account.access_token = first.encrypt(keys.decrypt(account.access_token))
                rotated += 1
            else:
                left.append(name)
    return Rotation(rotated, already, left)


def _is_readable(settings: AccountSettings, account: Account) -> bool:
    return _opens(_keys(settings), account.access_token)


def _opens(keys: Fernet | MultiFernet, token: bytes) -> bool:
    try:
        keys.decrypt(token)
    except InvalidToken:
        return False
    return True


def _keys(settings: AccountSettings) -> MultiFernet:
    if not settings.encryption_keys:
        raise SettingsError(MISSING)
    return MultiFernet([Fernet(key) for key in settings.encryption_keys])
