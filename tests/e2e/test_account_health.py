"""An account whose EHR login breaks for a while, with much that waits and two workers; settings scaled down."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx
from cryptography.fernet import Fernet

from service.lab.processes import NO_TLS
from service.postgres.engine import transaction
from service.usecases.access.accounts import add_account
from tests.records import ask, open_engine, rows, until
from tests.settings import settings_from
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Engine

    from service.lab.stack import Stack

INTERVAL = 0.5
"""Seconds, in place of a minute; so ten minutes are five seconds."""
KEY = Fernet.generate_key().decode()
TOKENS = {"clinic_1": "token_1", "clinic_2": "token_2"}
WAITING = 200
SETTINGS = settings_from(COBALT_ACCOUNT="clinic_1", COBALT_ACCESS_TOKEN="token_1", ENCRYPTION_KEYS=KEY)


def two_accounts(directory: Path, database_url: str, interval: float) -> AbstractContextManager[Stack]:
    """Two workers, and a stand-in for Cobalt that knows both accounts."""
    known = directory / "accounts"
    known.write_text("\n".join(f"{name}={token}" for name, token in TOKENS.items()))
    environment = {
        "COBALT_ACCESS_TOKEN": TOKENS["clinic_1"],
        "ENCRYPTION_KEYS": KEY,
        "ACCOUNT_PROBE_INTERVAL": str(interval),
        "CATALOGUE_MAX_AGE": "0",
    }
    options = ["--accounts-file", str(known), "--delay", "0.1"]
    return running(database_url=database_url, workers=2, sandbox_options=options, env=environment)


@dataclass
class Watched:
    """What was seen of the account that is refused."""

    refused: int
    seconds_refused: float
    seconds_of_the_others: float
    seconds_after_its_return: float


class Cobalt(ExitStack):
    """The control API of the stand-in, and ours."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._control = httpx.Client(
            base_url=stack.sandbox_url.removesuffix("/v1") + "/_sandbox", trust_env=False, verify=NO_TLS
        )
        self._api = httpx.Client(
            base_url=stack.url,
            headers={"Authorization": f"Bearer {stack.api_key}"},
            trust_env=False,
            verify=NO_TLS,
        )

    def __enter__(self) -> Self:
        for client in (self._control, self._api):
            self.enter_context(client)
        return self

    def refuse(self, account: str, **how: Any) -> None:
        self._control.put("/refused", json={"accounts": [account]} | how).raise_for_status()

    def tell(self, account: str, kind: str) -> None:
        self._control.post("/account-events", json={"account": account, "type": kind}).raise_for_status()

    def refused(self) -> dict[str, int]:
        found: dict[str, int] = self._control.get("/refused").json()["refused"]
        return found

    def account(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._api.get(f"/v1/accounts/{name}").raise_for_status().json()
        return found


def accepted(engine: Engine, account: str) -> int:
    return sum(one["account"] == account and one["submission"] == "accepted" for one in rows(engine, "appointments"))


def break_and_mend(cobalt: Cobalt, engine: Engine, seconds: float) -> Watched:
    """Have the login of clinic_1 broken for so long, with 200 requests waiting; clinic_2 goes on."""
    began = time.monotonic()
    cobalt.refuse("clinic_1")
    ask(engine, "clinic_1", SETTINGS)
    until(lambda: cobalt.account("clinic_1")["health"] == "login_required")
    for _ in range(WAITING - 1):
        ask(engine, "clinic_1", SETTINGS)
    others_began = time.monotonic()
    for _ in range(50):
        ask(engine, "clinic_2", SETTINGS)
    until(lambda: accepted(engine, "clinic_2") == 50, 60)
    seconds_of_the_others = time.monotonic() - others_began
    shown = cobalt.account("clinic_1")
    assert shown["reason"] == "login_required"
    assert shown["queue_length"] in {WAITING, WAITING - 1}  # one may be under way, as a probe
    assert "Link the account" in shown["remedy"]
    assert cobalt.account("clinic_2")["health"] == "healthy"

    until(lambda: time.monotonic() >= began + seconds, seconds + 10)
    cobalt.refuse("nobody")
    returned = time.monotonic()
    until(lambda: accepted(engine, "clinic_1") == WAITING, 60 + INTERVAL)

    assert {one["status"] for one in rows(engine, "appointments")} <= {"processing", "created"}
    return Watched(cobalt.refused()["clinic_1"], returned - began, seconds_of_the_others, time.monotonic() - returned)


def said(stack: Stack) -> Iterator[str]:
    for process in (*stack.workers, *stack.webs):
        yield from process.log_text().splitlines()


def test_an_account_that_is_refused_is_tried_once_in_a_while_and_loses_nothing(
    tmp_path: Path, database_url: str
) -> None:
    with open_engine(database_url) as engine, two_accounts(tmp_path, database_url, INTERVAL) as stack:
        with transaction(engine) as session:
            add_account(session, SETTINGS, name="clinic_2", reference="clinic_2", access_token=TOKENS["clinic_2"])

        with Cobalt(stack) as cobalt:
            watched = break_and_mend(cobalt, engine, 10 * INTERVAL)

        assert watched.refused <= 1 + watched.seconds_refused / INTERVAL
        assert watched.seconds_after_its_return < 60
        lines = list(said(stack))
        assert sum("Cobalt refuses an account" in line for line in lines) == 1
        assert sum("an account is healthy again" in line for line in lines) == 1


def test_an_event_about_the_account_holds_it_before_any_call_is_refused(tmp_path: Path, database_url: str) -> None:
    with (
        open_engine(database_url) as engine,
        two_accounts(tmp_path, database_url, 60) as stack,
        Cobalt(stack) as cobalt,
    ):
        ask(engine, "clinic_1", SETTINGS)
        until(lambda: accepted(engine, "clinic_1") == 1)
        cobalt.refuse("clinic_1")
        cobalt.tell("clinic_1", "access_token.login_required")
        until(lambda: cobalt.account("clinic_1")["health"] == "login_required")
        until(lambda: cobalt.refused() == {"clinic_1": 1})

        for _ in range(20):
            ask(engine, "clinic_1", SETTINGS)
        cobalt.refuse("nobody")
        time.sleep(1)
        assert accepted(engine, "clinic_1") == 1
        assert cobalt.account("clinic_1")["queue_length"] == 20
