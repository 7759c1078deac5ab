"""Every stored access token comes under the first of the keys, so that the others can be retired."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from service.errors import SettingsError
from service.postgres.engine import transaction
from service.postgres.queries import accounts
from service.usecases.access import stored_tokens
from service.usecases.access.accounts import add_account, get_credentials
from service.usecases.access.stored_tokens import Rotation, check_tokens, rotate_tokens
from tests.records import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Ran

OLD, NEW, LOST = (Fernet.generate_key().decode() for _ in range(3))
NAMES = ("a", "b", "c")


@pytest.fixture
def stored(engine: Engine, settings: Settings) -> Settings:
    """Settings with the old key alone, and three accounts under it."""
    old = with_keys(settings, OLD)
    add(engine, old, *NAMES)
    return old


def with_keys(settings: Settings, *keys: str) -> Settings:
    return replace(settings, encryption_keys=keys)


def add(engine: Engine, settings: Settings, *names: str) -> None:
    with transaction(engine) as session:
        for name in names:
            add_account(session, settings, name=name, reference=f"user_{name}", access_token=f"token_{name}")


def tokens(engine: Engine, settings: Settings) -> dict[str, str]:
    with transaction(engine) as session:
        return {
            one.name: get_credentials(session, settings, one.name).access_token
            for one in accounts.list_accounts(session)
        }


def test_after_a_rotation_the_old_key_can_be_retired(engine: Engine, stored: Settings) -> None:
    assert rotate_tokens(engine, with_keys(stored, NEW, OLD)) == Rotation(3, 0, [])
    assert tokens(engine, with_keys(stored, NEW)) == {name: f"token_{name}" for name in NAMES}
    with pytest.raises(SettingsError):
        tokens(engine, stored)


def test_done_again_it_changes_nothing(engine: Engine, stored: Settings) -> None:
    both = with_keys(stored, NEW, OLD)
    rotate_tokens(engine, both)
    before = rows(engine, "accounts")
    assert rotate_tokens(engine, both) == Rotation(0, 3, [])
    assert rows(engine, "accounts") == before


def test_broken_off_it_goes_on(engine: Engine, stored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    both = with_keys(stored, NEW, OLD)
    real = accounts.lock_account

    def killed_at_the_third(session: object, name: str) -> object:
        if name == NAMES[2]:
            raise KeyboardInterrupt
        return real(session, name)  # type: ignore[arg-type]

    monkeypatch.setattr(accounts, "lock_account", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        rotate_tokens(engine, both)
    monkeypatch.undo()
    assert tokens(engine, both) == {name: f"token_{name}" for name in NAMES}  # who knows both keys reads all
    assert rotate_tokens(engine, both) == Rotation(1, 2, [])


def test_what_no_key_opens_is_left_and_named(
    engine: Engine, stored: Settings, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, with_keys(stored, LOST), "lost")
    before = {row["name"]: bytes(row["access_token"]) for row in rows(engine, "accounts")}
    monkeypatch.setenv("ENCRYPTION_KEYS", f"{NEW},{OLD}")
    ran = run("keys", "encryption", "rotate")
    assert (ran.code, ran.out) == (1, "3 re-encrypted, 0 had the first key already, 1 left\n")
    assert ran.err == "ENCRYPTION_KEYS: none of them decrypts the access token of lost\n"
    after = {row["name"]: bytes(row["access_token"]) for row in rows(engine, "accounts")}
    assert after["lost"] == before["lost"]
    monkeypatch.setenv("ENCRYPTION_KEYS", f"{NEW},{LOST}")
    ran = run("keys", "encryption", "rotate")
    assert (ran.code, ran.out, ran.err) == (0, "1 re-encrypted, 3 had the first key already, 0 left\n", "")


def test_without_a_key_it_says_so(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENCRYPTION_KEYS")
    ran = run("keys", "encryption", "rotate")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "ENCRYPTION_KEYS" in ran.err


def test_who_uses_the_accounts_meanwhile_finds_a_token_that_it_can_read(engine: Engine, stored: Settings) -> None:
    both, order = with_keys(stored, NEW, OLD), with_keys(stored, OLD, NEW)  # as the workers know them
    ended, read = threading.Event(), 0
    wrong: list[object] = []

    def work() -> None:
        nonlocal read
        while not ended.is_set():
            try:
                found = tokens(engine, order)
            except Exception as error:  # noqa: BLE001 (the test fails by it)
                wrong.append(error)
                return
            wrong.extend(name for name, token in found.items() if token != f"token_{name}")
            read += 1

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(5):
        rotate_tokens(engine, both)
        rotate_tokens(engine, order)
    ended.set()
    worker.join()
    assert wrong == []
    assert read > 0


def test_an_account_that_is_removed_meanwhile_stays_removed(
    engine: Engine, stored: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stored_tokens._opens  # noqa: SLF001 (in the middle of its steps)

    def removed_meanwhile(keys: Fernet, token: bytes) -> bool:
        monkeypatch.undo()
        with transaction(engine) as session:
            assert accounts.delete_account(session, NAMES[2])
        return real(keys, token)

    monkeypatch.setattr(stored_tokens, "_opens", removed_meanwhile)
    assert rotate_tokens(engine, with_keys(stored, NEW, OLD)) == Rotation(2, 0, [])
    assert [row["name"] for row in rows(engine, "accounts")] == ["a", "b"]


def test_keys_that_do_not_fit_are_told_with_the_names_of_the_accounts(engine: Engine, stored: Settings) -> None:
    check_tokens(engine, stored)
    check_tokens(engine, with_keys(stored, NEW, OLD))
    for keys, said in ((), "is missing"), ((NEW,), "none of them decrypts"):
        with pytest.raises(SettingsError, match="a, b, c") as refused:
            check_tokens(engine, with_keys(stored, *keys))
        assert said in str(refused.value)
        assert "token_" not in str(refused.value)


def test_without_accounts_no_key_is_needed(engine: Engine, settings: Settings) -> None:
    check_tokens(engine, with_keys(settings))
