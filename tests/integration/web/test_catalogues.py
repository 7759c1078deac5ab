"""Requests that name what the account's EHR does not know are refused at once; without a fresh list nothing is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.errors import CobaltError
from service.postgres.engine import transaction
from service.usecases.access.catalogues import Refresher, fetch_catalogue
from tests.fake_cobalt import FakeCobalt
from tests.integration.web.conftest import BODY
from tests.integration.web.test_api_appointments import URL, errors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book, Ran

LISTED: dict[str, list[object]] = {
    "providers": [{"id": "0af1", "ehr_id": BODY["provider"], "name": "Smith"}, {"ehr_id": "99999", "name": "Doe"}],
    "locations": [{"ehr_id": BODY["location"], "name": "Main"}],
    "visit_types": [{"code": "new_patient", "description": "New patient"}, "follow_up"],
}
WRONG = BODY | {"type": "new_pateint"}
LENIENT = {"Prefer": "handling=lenient"}
NAME = "clinic_1"


@pytest.fixture
def fetched(engine: Engine, settings: Settings) -> None:
    """A fresh catalogue of the one account."""
    fetch(engine, settings, FakeCobalt(catalogue_entries=LISTED))


def fetch(engine: Engine, settings: Settings, cobalt: Any) -> None:  # noqa: ANN401
    fetch_catalogue(engine, settings, cobalt, NAME)


def grow_older(engine: Engine, by: timedelta) -> None:
    with transaction(engine) as session:
        session.execute(text("UPDATE catalogues SET fetched_at = fetched_at - :by, due_at = due_at - :by"), {"by": by})


@pytest.mark.usefixtures("fetched")
def test_a_request_for_what_is_not_listed_is_refused_with_what_was_probably_meant(api: Api) -> None:
    answer = api.post(WRONG)
    assert answer.status_code == 422
    [error] = errors_of(answer).items()
    assert error[0] == "/type"
    assert '"new_patient" (New patient)' in error[1]
    assert "new_pateint" not in answer.text
    assert api.post(BODY).status_code == 202


@pytest.mark.usefixtures("fetched")
def test_every_field_that_names_something_is_named(api: Api) -> None:
    wrong = {"type": "x-ray", "provider": "Smith", "secondary_provider": "nobody", "location": "elsewhere"}
    assert errors_of(api.post(BODY | wrong)).keys() == {"/type", "/provider", "/secondary_provider", "/location"}


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize("prefer", ["handling=lenient", "Handling = lenient", "wait=0, handling=lenient"])
def test_whoever_prefers_it_is_taken_all_the_same(api: Api, prefer: str) -> None:
    answer = api.post(WRONG, headers={"Prefer": prefer})
    assert answer.status_code == 202
    assert "handling=lenient" in answer.headers.getlist("Preference-Applied")


@pytest.mark.usefixtures("fetched")
def test_a_strict_preference_changes_nothing(api: Api) -> None:
    answer = api.post(BODY, headers={"Prefer": "handling=strict"})
    assert answer.status_code == 202
    assert "Preference-Applied" not in answer.headers
    assert api.post(WRONG, headers={"Prefer": "handling=strict"}).status_code == 422


def test_before_a_catalogue_was_fetched_everything_is_taken(api: Api) -> None:
    assert api.post(WRONG).status_code == 202
    shown = api.get(f"/v1/accounts/{NAME}/catalogue").json
    assert (shown["fetched_at"], shown["is_fresh"], shown["providers"]) == (None, False, [])


@pytest.mark.usefixtures("fetched")
def test_an_old_catalogue_judges_nothing(api: Api, engine: Engine) -> None:
    grow_older(engine, timedelta(days=2))
    assert api.post(WRONG).status_code == 202
    shown = api.get(f"/v1/accounts/{NAME}/catalogue").json
    assert not shown["is_fresh"]
    assert shown["age_seconds"] > timedelta(days=2).total_seconds() - 1


@pytest.mark.usefixtures("fetched")
def test_it_can_be_switched_off_for_an_account(api: Api, run: Callable[..., Ran]) -> None:
    assert run("catalogue", "preflight", NAME, "off").code == 0
    assert api.post(WRONG).status_code == 202
    assert api.get(f"/v1/accounts/{NAME}/catalogue").json["preflight"] is False
    assert run("catalogue", "preflight", NAME, "on").code == 0
    assert api.post(WRONG).status_code == 422
    assert "there is no account" in run("catalogue", "preflight", "clinic_7", "off").err


@pytest.mark.usefixtures("fetched")
def test_a_correction_goes_through_the_same_check(api: Api, book: Book) -> None:
    one = book.failed()
    address = f"{URL}/{one}"
    assert errors_of(api.call("PATCH", address, json={"type": "new_pateint"})).keys() == {"/type"}
    assert api.get(address).json["status"] == "failed"
    assert api.call("PATCH", address, json={"type": "new_pateint"}, headers=LENIENT).status_code == 202


@pytest.mark.usefixtures("fetched")
def test_rows_of_a_file_go_through_the_same_check(run: Callable[..., Ran]) -> None:
    file = (",".join(WRONG) + "\n" + ",".join(WRONG.values()) + "\n").encode()
    refused = run("submit", "-", stdin=file)
    assert (refused.code, refused.out) == (1, "")
    assert "line 2" in refused.err
    assert "new_patient" in refused.err
    assert run("submit", "-", "--lenient", stdin=file).code == 0


def test_cobalts_silence_keeps_the_old_list_and_is_shown(api: Api, engine: Engine, settings: Settings) -> None:
    fetch(engine, settings, FakeCobalt(catalogue_entries=LISTED))
    with pytest.raises(CobaltError):
        fetch(engine, settings, FakeCobalt(is_away=True))
    shown = api.get(f"/v1/accounts/{NAME}/catalogue").json
    assert shown["problem"] == "Cobalt answered HTTP 503"
    assert [one["id"] for one in shown["visit_types"]] == ["new_patient", "follow_up"]
    assert shown["is_fresh"]


def test_there_is_no_catalogue_of_an_account_that_nobody_knows(api: Api) -> None:
    assert api.get("/v1/accounts/clinic_7/catalogue").status_code == 404


def test_a_worker_asks_once_an_interval_however_many_there_are(engine: Engine, settings: Settings) -> None:
    cobalt: Any = FakeCobalt(catalogue_entries=LISTED)
    first, second = (Refresher(engine, settings, cobalt) for _ in range(2))
    started = [one.run_once()["started"] for one in (first, second, first)]
    grow_older(engine, settings.catalogue_interval)
    started += [second.run_once()["started"]]
    first.finish()
    second.finish()
    assert started == [1, 0, 0, 1]
    assert cobalt.asked == [("catalogue", NAME)] * 2


def test_a_check_takes_less_than_ten_milliseconds_with_a_thousand_providers(
    api: Api, engine: Engine, settings: Settings
) -> None:
    many: list[object] = [{"id": f"{n:032x}", "ehr_id": f"{n:06}", "name": f"Doctor {n:06}"} for n in range(1000)]
    fetch(engine, settings, FakeCobalt(catalogue_entries=LISTED | {"providers": many}))

    def took(body: dict[str, str], status: int) -> float:
        began = time.perf_counter()
        assert api.post(body).status_code == status
        return time.perf_counter() - began

    def best(body: dict[str, str], status: int) -> float:
        return min(took(body, status) for _ in range(30))

    checked = best(BODY | {"provider": "000500"}, 202)
    with transaction(engine) as session:
        session.execute(text("UPDATE catalogues SET preflight = false"))
    assert checked - best(BODY, 202) < 0.01


@pytest.mark.usefixtures("fetched")
def test_the_command_line_shows_what_there_is(run: Callable[..., Ran]) -> None:
    shown = run("catalogue", "show", NAME)
    assert "99999" in shown.out
    assert str(datetime.now(UTC).year) in shown.out
    assert "catalogue refresh" in run("catalogue", "show", "clinic_7").err
