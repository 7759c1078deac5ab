"""Who may call what, and what a caller without the scope ``phi`` gets to see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service import cobalt
from service.postgres.engine import transaction
from service.postgres.queries import api_keys
from service.usecases.access.api_keys import create_key
from tests.integration.web.conftest import BODY, Api
from tests.settings import settings_from
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask
    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Answer, Book

URL = "/v1/appointments"
MRN = "00QX7741-ZETA"
NOTE = "weeping-willow-note"
REASON = "weeping-willow-reason"


def ask(api: Api, authorization: str | None) -> Answer:
    headers = {} if authorization is None else {"Authorization": authorization}
    return api.client.get(URL, headers=headers)


def only_key_id(engine: Engine) -> str:
    with transaction(engine) as session:
        (key,) = api_keys.list_keys(session)
        return key.id


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer cak_" + "x" * 43,
        "Basic dXNlcjpwYXNz",
        "Bearer é\xff",
        "x",
    ],
)
def test_without_a_good_key_nothing_is_told(api: Api, authorization: str | None) -> None:
    answer = ask(api, authorization)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(api: Api, scheme: str) -> None:
    assert ask(api, f"{scheme} {api.key('read')}").status_code == 200


def test_every_wrong_key_gets_the_same_answer(api: Api, engine: Engine) -> None:
    revoked = create_key(engine, name="revoked", scopes=["read"], expires_in=None)
    assert ask(api, f"Bearer {revoked}").status_code == 200
    with transaction(engine) as session:
        assert api_keys.revoke(session, api_keys.list_keys(session)[0].id, now=datetime.now(UTC))
    expired = create_key(engine, name="expired", scopes=["read"], expires_in=timedelta(microseconds=1))
    answers = [ask(api, f"Bearer {key}") for key in (revoked, expired, "cak_never_was")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_a_key_that_has_not_expired_yet_is_good(api: Api, engine: Engine) -> None:
    key = create_key(engine, name="fresh", scopes=["read"], expires_in=timedelta(hours=1))
    assert ask(api, f"Bearer {key}").status_code == 200


def test_too_small_a_scope_is_forbidden(api: Api) -> None:
    for answer in (
        api.get(URL, scopes=("write", "phi", "ops")),
        api.post(BODY, scopes=("read", "phi", "ops")),
        api.get("/v1/quarantine", scopes=("read", "write", "phi")),
    ):
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_the_key_is_looked_at_before_the_request_is(api: Api) -> None:
    assert api.client.post(URL, json={}).status_code == 401
    assert api.client.get(f"{URL}?limit=0").status_code == 401
    assert api.post({}, scopes=("read",)).status_code == 403


def test_only_a_hash_of_a_key_is_kept(api: Api, engine: Engine) -> None:
    key = api.key("read")
    with transaction(engine) as session:
        kept = session.execute(text("SELECT k::text FROM api_keys k")).scalar_one()
    assert key not in kept
    assert key.removeprefix("cak_") not in kept
    assert key.encode().hex() not in kept


def test_the_last_use_of_a_key_is_kept_to_the_minute(api: Api, engine: Engine) -> None:
    def last_used() -> datetime | None:
        with transaction(engine) as session:
            return api_keys.list_keys(session)[0].last_used_at

    key = api.key("read")
    assert last_used() is None
    ask(api, f"Bearer {key}")
    first = last_used()
    assert first is not None
    assert abs(datetime.now(UTC) - first) < timedelta(seconds=30)
    ask(api, f"Bearer {key}")
    assert last_used() == first
    with transaction(engine) as session:
        session.execute(text("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'"))
    ask(api, f"Bearer {key}")
    used = last_used()
    assert used is not None
    assert used >= first


# What is masked.


@pytest.fixture
def told(book: Book) -> list[str]:
    """Appointments about one patient, in every state, whose MRN, note and reason stand in every place they can."""
    asked: dict[str, Any] = {
        "mrn": MRN,
        "note": NOTE,
        "reason": REASON,
        "metadata": {"copy": MRN, "deep": [{"patient_mrn": MRN}], MRN: 1, "note": NOTE},
    }
    details: dict[str, Any] = {"echo": f"MRN {MRN}", MRN: True, "list": [MRN.lower()], "note": NOTE}
    reason = f"Patient MRN '{MRN}' not found; {MRN} and {MRN.lower()} were tried, and {MRN.lstrip('0')}."
    ids: list[str] = [
        book.created(**asked),
        book.failed(reason, details, **asked),
        book.answered(cobalt.Rejected(400, reason, datetime.now(UTC)), **asked),
        book.answered(cobalt.Unclear("ReadTimeout"), **asked),
        book.queued(**asked)["id"],
    ]
    other = book.accepted("cobalt_other", mrn="555000111")  # Cobalt answers about somebody else
    book.tell("failed", "cobalt_other", mrn=MRN, reason=reason, **details)
    return [*ids, other]


def canaries(text_: str, canaries_: Iterable[str] = (MRN, MRN.lstrip("0"), NOTE, REASON)) -> set[str]:
    return {canary for canary in canaries_ if canary.lower() in text_.lower()}


def addresses(told: list[str]) -> list[str]:
    each = [f"{URL}/{appointment_id}{rest}" for appointment_id in told for rest in ("", "/timeline")]
    return [URL, f"{URL}?status=failed", *each]


def test_without_phi_no_mrn_note_or_reason_for_the_visit_is_anywhere(api: Api, told: list[str]) -> None:
    for address in addresses(told):
        answer = api.get(address, scopes=("read", "write", "ops"))
        assert answer.status_code == 200
        assert canaries(answer.text) == set(), address
    shown = api.post(BODY | {"mrn": MRN, "note": NOTE, "reason": REASON}, scopes=("write",))
    assert shown.status_code == 202
    assert canaries(shown.text) == set()


def test_with_phi_they_are_all_there(api: Api, told: list[str]) -> None:
    assert canaries(api.get(URL).text, (MRN, NOTE, REASON)) == {MRN, NOTE, REASON}
    assert MRN in api.get(f"{URL}/{told[1]}/timeline").text


def test_a_masked_mrn_shows_its_last_two_characters(api: Api, told: list[str]) -> None:
    request = api.read(f"{URL}/{told[0]}", scopes=("read",))["request"]
    assert request["mrn"] == "***TA"
    assert {"note", "reason"} & set(request) == set()


def test_a_postgresql_that_takes_no_writes_still_serves_reads_and_is_not_ready(
    api: Api, make_app: Callable[[Settings], Flask], shared_environment: dict[str, str]
) -> None:
    url = shared_environment["DATABASE_URL"]
    url += ("&" if "?" in url else "?") + "options=-c%20default_transaction_read_only%3Don"
    client = client_of(make_app(settings_from(**shared_environment | {"DATABASE_URL": url})))
    headers = {"Authorization": f"Bearer {api.key('read')}"}

    assert client.get(URL, headers=headers).status_code == 200
    refused = client.get("/readyz/api")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    with transaction(api.engine) as session:
        (key,) = api_keys.list_keys(session)
        assert key.last_used_at is None

    assert api.client.get(URL, headers=headers).status_code == 200
    with transaction(api.engine) as session:
        (key,) = api_keys.list_keys(session)
        assert key.last_used_at is not None
