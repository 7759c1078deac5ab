"""Accounts over HTTP and at the command line: their health, what to do, and what waits; never a token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from service import cobalt
from service.domain.account_health import REMEDIES, Reason, Standing
from service.postgres.engine import transaction
from service.usecases.access.accounts import add_account
from service.usecases.upkeep.account_evidence import keep, shown_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book, Ran

URL = "/v1/accounts"
HEALTHY = {
    "object": "account",
    "id": "clinic_1",
    "is_linked": True,
    "health": "healthy",
    "since": None,
    "reason": None,
    "remedy": None,
    "next_try_at": None,
    "queue_length": 0,
    "oldest_queued_at": None,
}


def refuse(engine: Engine, settings: Settings, account: str = "clinic_1") -> None:
    keep(engine, settings, account, shown_by(cobalt.Unauthorized(403, login_required=True)), Standing())


def test_a_healthy_account_has_nothing_to_tell(api: Api) -> None:
    assert api.read(URL) == {"data": [HEALTHY]}
    assert api.read(f"{URL}/clinic_1") == HEALTHY


def test_a_refused_account_says_since_when_why_and_what_to_do(api: Api, book: Book, settings: Settings) -> None:
    refuse(api.engine, settings)
    first, _second = book.queued(), book.queued()

    shown = api.read(f"{URL}/clinic_1")

    since, next_try = shown.pop("since"), shown.pop("next_try_at")
    assert since < next_try
    assert shown == {
        "object": "account",
        "id": "clinic_1",
        "is_linked": True,
        "health": "login_required",
        "reason": "login_required",
        "remedy": REMEDIES[Reason.LOGIN_REQUIRED],
        "queue_length": 2,
        "oldest_queued_at": api.read(f"/v1/appointments/{first['id']}")["created_at"],
    }
    why = api.read(f"/v1/appointments/{first['id']}/timeline")["why"]
    assert "login_required" in why
    assert REMEDIES[Reason.LOGIN_REQUIRED] in why
    assert api.read("/v1/stats")["accounts"] == {"healthy": 0, "paused": 0, "login_required": 1, "held": 0}


def test_all_accounts_are_listed_without_their_tokens(api: Api, settings: Settings) -> None:
    with transaction(api.engine) as session:
        add_account(session, settings, name="clinic_2", reference="user_2", access_token="a-token-in-plain-words")
    refuse(api.engine, settings, "clinic_2")

    answer = api.get(URL, scopes=("read",))

    assert [(one["id"], one["health"]) for one in answer.json["data"]] == [
        ("clinic_1", "healthy"),
        ("clinic_2", "login_required"),
    ]
    assert "a-token-in-plain-words" not in answer.text
    assert api.read("/v1/stats?account=clinic_2")["accounts"]["login_required"] == 1
    assert api.read("/v1/stats?account=clinic_1")["accounts"]["login_required"] == 0


@pytest.mark.parametrize("name", ["nobody", "%00", "clinic_2"])
def test_an_account_that_is_not_there_is_404(api: Api, name: str) -> None:
    assert api.get(f"{URL}/{name}").status_code == 404


def test_it_takes_the_scope_read(api: Api) -> None:
    for path in (URL, f"{URL}/clinic_1"):
        assert api.get(path, scopes=("ops",)).status_code == 403


def test_the_metric_counts_accounts_by_health_and_names_none(api: Api, settings: Settings) -> None:
    refuse(api.engine, settings)
    text = api.client.get("/metrics").text
    assert 'appointments_accounts_held{health="login_required"} 1.0' in text
    assert 'appointments_accounts_held{health="paused"} 0.0' in text
    assert "clinic_1" not in text


def listed(run: Callable[..., Ran]) -> dict[str, Any]:
    ran = run("accounts", "list", "--json")
    assert ran.code == 0, ran.err
    (found,) = [one for line in ran.out.splitlines() if (one := json.loads(line))["name"] == "clinic_1"]
    return dict(found)


def test_a_person_holds_an_account_and_resumes_it(api: Api, run: Callable[..., Ran]) -> None:
    assert run("accounts", "hold", "clinic_1", "--why", "moves to another EHR").code == 0
    shown = listed(run)
    assert (shown["health"], shown["reason"], shown["held_why"]) == (
        "held",
        "held_by_a_person",
        "moves to another EHR",
    )
    assert shown["held_by"]
    assert "another EHR" not in json.dumps(api.read(f"{URL}/clinic_1"))

    assert run("accounts", "resume", "clinic_1").code == 0
    shown = listed(run)
    assert (shown["health"], shown["reason"], shown["held_by"]) == ("paused", "resumed", None)


def test_there_is_nothing_to_resume_of_a_healthy_account(run: Callable[..., Ran]) -> None:
    ran = run("accounts", "resume", "clinic_1")
    assert (ran.code, ran.err) == (1, "cobalt-appointments: the account 'clinic_1' is healthy\n")
    assert run("accounts", "hold", "nobody").code == 1
