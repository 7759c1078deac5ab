"""Asking for appointments and reading them, over HTTP."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from cryptography.fernet import Fernet

from service import cobalt
from service.postgres.engine import transaction
from service.postgres.models import Appointment
from service.postgres.queries import appointment_views
from service.requests.schema import LONGEST_METADATA, LONGEST_NOTE
from service.usecases.access.accounts import add_account
from service.web.services import services_of
from tests.integration.web.conftest import BODY, Api, work_once
from tests.records import wait_for_the_others
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Answer, Book

URL = "/v1/appointments"


def assert_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.headers["X-Request-Id"]
    body: dict[str, Any] = answer.json
    assert set(body) - {"errors"} == {"type", "title", "status", "detail"}
    assert body["status"] == status
    assert body["detail"]
    return body


def errors_of(answer: Answer) -> dict[str, str]:
    return {error["pointer"]: error["detail"] for error in assert_problem(answer, 422)["errors"]}


# Asking.


def test_a_request_is_taken_and_its_location_leads_to_it(api: Api) -> None:
    answer = api.post(BODY)
    assert answer.status_code == 202
    assert answer.json["status"] == "processing"
    assert answer.headers["Location"] == f"{URL}/{answer.json['id']}"
    assert api.read(answer.headers["Location"]) == answer.json


def test_an_appointment_has_the_documented_shape(api: Api) -> None:
    shown = api.post(BODY | {"metadata": {"order": "o-17"}}).json
    assert shown.pop("id").startswith("appt_")
    created_at = shown.pop("created_at")
    assert shown.pop("updated_at") == created_at
    assert created_at.endswith("Z")
    assert datetime.fromisoformat(created_at).tzinfo == UTC
    assert shown == {
        "object": "appointment",
        "account": "clinic_1",
        "status": "processing",
        "attempt": 1,
        "cobalt_appointment_id": None,
        "cobalt_job_id": None,
        "request": BODY | {"secondary_provider": None, "note": None},
        "submission": {"state": "queued", "tries": 0, "last_error": None, "candidates": [], "accepted_at": None},
        "confirmation": None,
        "failure": None,
        "overdue": False,
        "conflicts": 0,
        "discrepancies": [],
        "metadata": {"order": "o-17"},
        "settled_at": None,
        "version": 1,
    }


def test_what_was_confirmed_is_shown_with_its_instant(api: Api, book: Book) -> None:
    shown = api.read(f"{URL}/{book.created(mrn='123456789')}")
    assert shown["status"] == "created"
    assert shown["confirmation"] == {
        "date_time": "2030-01-15T10:00",
        "timezone": "America/New_York",
        "starts_at": "2030-01-15T15:00:00Z",
        "provider_id": "emr_prov_123",
        "provider_name": "Dr. Smith",
        "secondary_provider_id": None,
    }
    assert shown["failure"] is None
    assert shown["discrepancies"] == []
    assert shown["settled_at"]


def test_a_failure_is_shown_with_cobalts_words_the_other_fields_and_the_remedy(api: Api, book: Book) -> None:
    reason = "Patient MRN '000000' not found in eCW. Please update the MRN."
    failed = book.failed(reason, {"visit_type": "Check-up"}, mrn="000000")
    failure = api.read(f"{URL}/{failed}")["failure"]
    assert failure.pop("occurred_at").endswith("Z")
    assert failure == {
        "category": "patient_not_found",
        "reason": reason,
        "details": {"visit_type": "Check-up"},
        "remedy": {"fields": ["mrn"], "action": "correct"},
    }


def test_cobalts_fields_are_passed_on_as_they_were_given(api: Api, engine: Engine, settings: Settings) -> None:
    asked = {
        "mrn": " 0012-é ",
        "location": "Zürich\u00a0East  ",
        "date": "2030-01-15",
        "time": " 10:00 AM",
        "provider": "Dr. O'Hara 👩‍⚕️",
        "secondary_provider": 'say "hi"\\n',
        "type": "e\u0301cole",
        "note": "<b>&amp;</b>\r\nline two",
        "reason": "knee",
        "new_patient": "true",
        "prevent_double_booking": "false",
        "duration": "030",
    }
    shown = api.post(asked).json
    assert shown["request"] == asked
    assert work_once(engine, settings).sent == [asked]


def test_a_start_with_an_offset_is_kept_as_it_came(api: Api) -> None:
    asked = {name: value for name, value in BODY.items() if name not in {"date", "time"}}
    asked["datetime"] = "2030-01-15T10:00:00-05:00"
    assert api.post(asked).json["request"] == asked | {
        "date": None, "time": None, "secondary_provider": None, "note": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["mrn", "location", "provider", "type"])
@pytest.mark.parametrize(
    "value", ["", 7, None, ["x"], True, "x" * 501, "canary\0", "canary\ud800"], ids=lambda value: repr(value)[:12]
)
def test_a_wrong_value_is_named_and_not_repeated(api: Api, name: str, value: object) -> None:
    answer = api.post(BODY | {name: value})
    assert list(errors_of(answer)) == [f"/{name}"]
    assert "canary" not in answer.text
    assert "xxx" not in answer.text


@pytest.mark.parametrize("name", ["mrn", "location", "provider", "secondary_provider", "type"])
@pytest.mark.parametrize(
    "value",
    [
        "  ",
        "\u00a0\u3000",
        "\u200b",
        "\u200d",
        "\u3164",
        "\u2003\ufe0f",
        "12\n34",
        "12\t34",
        "12\r\n",
        "12\x0734",
        "12\x85",
        "12\x9b",
        "12\u2028",
        "\ufeff12",
        "12\u200b34",
        "12\u00ad34",
        "\u202e4321",
        "\u200f12",
        "\u206612\u2069",
    ],
    ids=ascii,
)
def test_what_nobody_can_see_is_in_no_field_of_one_line(api: Api, name: str, value: str) -> None:
    answer = api.post(BODY | {name: value})
    assert list(errors_of(answer)) == [f"/{name}"]
    assert "34" not in answer.text


def test_a_refused_character_is_named(api: Api) -> None:
    errors = errors_of(api.post(BODY | {"mrn": "\u200b42", "type": "a\nb", "location": "\u2003"}))
    assert errors["/mrn"] == "Must be one line without U+200B, ZERO WIDTH SPACE."
    assert errors["/type"] == "Must be one line without U+000A, a control character."
    assert errors["/location"] == "Must not be blank."


@pytest.mark.parametrize("name", ["location", "provider", "secondary_provider", "type"])
def test_names_of_every_script_are_taken_as_they_come(api: Api, name: str) -> None:
    for value in (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a joiner
        "\u845b\U000e0100\u57ce",  # Japanese, with a variant of a sign
        "visit \U0001f469\u200d\u2695\ufe0f",
        "e\u0301cole",
        "  Dr.\u00a0Smith ",
    ):
        assert api.post(BODY | {name: value}).json["request"][name] == value


@pytest.mark.parametrize("mrn", ["12\u200d34", "12\ufe0f", "12\u034f34"])
def test_an_mrn_has_nothing_in_it_that_is_not_seen(api: Api, mrn: str) -> None:
    assert list(errors_of(api.post(BODY | {"mrn": mrn}))) == ["/mrn"]


def test_an_mrn_is_no_longer_than_an_index_can_hold_in_whatever_way_it_is_written(api: Api) -> None:
    assert api.post(BODY | {"mrn": "\U0001f469" * 500}).status_code == 202
    grows = "\U0001d160"  # three signs when it is composed
    assert api.post(BODY | {"mrn": grows * 100}).status_code == 202
    assert list(errors_of(api.post(BODY | {"mrn": grows * 300}))) == ["/mrn"]


def test_a_start_that_the_clocks_of_the_account_skip_is_refused_by_name(
    api: Api, make_app: Callable[[Settings], Flask], settings: Settings
) -> None:
    app = make_app(replace(settings, cobalt_timezone="America/New_York"))
    there = Api(client_of(app), services_of(app).engine)
    skipped = {"date": "2030-03-10", "time": "2:30 am"}
    assert errors_of(there.post(BODY | skipped)) == {
        "/time": "On 2030-03-10 there is no 02:30 in America/New_York: clocks go forward over it."
    }
    for taken in ({"date": "2030-03-10", "time": "03:00"}, {"date": "2030-03-11", "time": "2:30 am"}):
        assert there.post(BODY | taken).status_code == 202
    assert api.post(BODY | skipped).status_code == 202  # nobody knows where that is


def test_a_correction_to_a_start_that_the_clocks_skip_is_refused(
    book: Book, make_app: Callable[[Settings], Flask], settings: Settings
) -> None:
    one = book.failed()
    app = make_app(replace(settings, cobalt_timezone="America/New_York"))
    there = Api(client_of(app), services_of(app).engine)
    refused = there.call("PATCH", f"{URL}/{one}", json={"date": "2030-03-10", "time": "02:30"})
    assert list(errors_of(refused)) == ["/time"]
    shown = there.read(f"{URL}/{one}")
    assert (shown["status"], shown["attempt"], shown["request"]["date"]) == ("failed", 1, BODY["date"])
    assert there.call("PATCH", f"{URL}/{one}", json={"date": "2030-03-10", "time": "03:30"}).status_code == 202


def test_an_account_in_the_table_has_its_own_clocks(api: Api, engine: Engine, settings: Settings) -> None:
    keyed = replace(settings, encryption_keys=(Fernet.generate_key().decode(),))
    with transaction(engine) as session:
        for name, zone in (("east", "America/New_York"), ("south", "America/Phoenix")):
            add_account(session, keyed, name=name, reference=name, access_token="x", timezone=zone)
    skipped = BODY | {"date": "2030-03-10", "time": "02:30"}
    assert list(errors_of(api.post(skipped | {"account": "east"}))) == ["/time"]
    assert api.post(skipped | {"account": "south"}).status_code == 202


@pytest.mark.parametrize("name", ["mrn", "location", "date", "time", "provider", "type"])
def test_a_missing_field_is_named(api: Api, name: str) -> None:
    answer = api.post({key: value for key, value in BODY.items() if key != name})
    assert list(errors_of(answer)) == [f"/{name}"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"provder": "Dr. Smith"}, "/provder"),
        ({"notes": "x"}, "/notes"),
        ({"a/b~c": "x"}, ""),
        ({"123456789": "x"}, ""),
        ({"datetime": "2030-01-15T10:00:00-05:00"}, "/datetime"),
        ({"date": "15.1.2030"}, "/date"),
        ({"date": "2030-02-30"}, "/date"),
        ({"time": "25:00"}, "/time"),
        ({"time": "13:00 pm"}, "/time"),
        ({"note": "x" * (LONGEST_NOTE + 1)}, "/note"),
        ({"duration": "half an hour"}, "/duration"),
        ({"new_patient": True}, "/new_patient"),
        ({"account": "no such account"}, "/account"),
        ({"metadata": "x"}, "/metadata"),
        ({"metadata": None}, "/metadata"),
        ({"metadata": {"x": "y" * LONGEST_METADATA}}, "/metadata"),
        ({"metadata": {"x": "canary\0"}}, "/metadata"),
        ({"metadata": {"x": [{"y": "canary\ud800"}]}}, "/metadata"),
        ({"metadata": {"canary\0": 1}}, "/metadata"),
        ({"metadata": {"x": {"canary\udfff": 1}}}, "/metadata"),
        ({"metadata": {"x": float("inf")}}, "/metadata"),
        ({"metadata": {"x": float("nan")}}, "/metadata"),
        ({"metadata": json.loads('{"x":' * 200 + "1" + "}" * 200)}, "/metadata"),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)
def test_each_slip_is_named_by_its_pointer_with_the_fix(api: Api, changes: dict[str, object], pointer: str) -> None:
    answer = api.post(BODY | changes)
    assert list(errors_of(answer)) == [pointer]
    assert "canary" not in answer.text


def test_every_slip_is_named_at_once(api: Api) -> None:
    slips = {"nrm": "x", "provider": 1, "date": "15.01.2030", "time": "noon", "metadata": {"x": "\0"}, "duration": "x"}
    asked = {name: value for name, value in BODY.items() if name != "mrn"} | slips
    assert errors_of(api.post(asked)).keys() == {"/mrn", *(f"/{name}" for name in slips)}


def test_a_start_that_is_missing_is_named_beside_other_slips(api: Api) -> None:
    assert errors_of(api.post({"nrm": "x", "date": "2030-01-15"})).keys() >= {"/nrm", "/mrn", "/time"}
    assert "/date" not in errors_of(api.post({"nrm": "x", "date": 1, "time": 1}))["/time"]


@pytest.mark.parametrize(
    "start",
    [
        {"datetime": "9999-12-31T23:59:59Z"},  # infinity to some, and another year east of UTC
        {"datetime": "0001-01-01T00:00:00Z"},
        {"datetime": "2200-01-01T00:00:00+14:00"},
        {"datetime": "1999-12-31T23:59:59-12:00"},
        {"date": "9999-12-31", "time": "10:00"},
        {"date": "0001-01-01", "time": "10:00"},
        {"date": "1970-01-01", "time": "12:00 am"},
    ],
    ids=str,
)
def test_a_year_that_no_appointment_is_in_is_refused(api: Api, start: dict[str, str]) -> None:
    asked = {name: value for name, value in BODY.items() if name not in {"date", "time"}} | start
    assert errors_of(api.post(asked)) == {f"/{next(iter(start))}": "Must be in the years 2000 to 2199."}


@pytest.mark.parametrize("value", ["Infinity Health", "NaN", "\\u0000", "\ud83d\ude00 as a pair", 10**40, [], None])
def test_metadata_is_given_back_untouched(api: Api, value: object) -> None:
    if isinstance(value, str):
        value = value.encode("utf-16", "surrogatepass").decode("utf-16")
    made = api.post(BODY | {"metadata": {"x": value}}).json
    assert made["metadata"] == api.read(f"{URL}/{made['id']}")["metadata"] == {"x": value}


EXACT = (
    '{"a":1e400,"b":98765432109876543210,"c":[1.10,{"d":0.1000000000000000055}],"e":-0,"f":1.0E+2,"g":2.5e-7,"h":7.0}'
)


@pytest.mark.parametrize("unmasked", [True, False])
def test_numbers_of_metadata_are_given_back_with_all_their_digits(api: Api, book: Book, unmasked: bool) -> None:  # noqa: FBT001
    scopes = ("read", "write", "phi") if unmasked else ("read", "write")
    raw = json.dumps(BODY)[:-1] + f', "metadata": {EXACT}}}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": "exact-1"}
    first = api.call("POST", URL, scopes=scopes, data=raw, headers=headers)
    again = api.call("POST", URL, scopes=scopes, data=raw, headers=headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    one = first.json["id"]
    work_once(api.engine, book.settings, {BODY["mrn"]: cobalt.Rejected(400, "no", datetime.now(UTC))})
    corrected = api.call("PATCH", f"{URL}/{one}", scopes=scopes, json={"type": "other"})
    assert corrected.status_code == 202
    wait_for_the_others(api.engine)
    answers = [first, again, corrected] + [
        api.get(path, scopes=scopes) for path in (f"{URL}/{one}", URL, f"{URL}?fields=metadata", "/v1/changes")
    ]
    for answer in answers:
        assert f'"metadata":{EXACT}' in answer.text
    [cell] = [line["metadata"] for line in csv.DictReader(io.StringIO(export(api, scopes)))]
    assert cell == EXACT


def export(api: Api, scopes: tuple[str, ...]) -> str:
    text: str = api.get(f"{URL}?fields=metadata", scopes=scopes, headers={"Accept": "text/csv"}).text
    return text


def test_numbers_without_end_are_too_long(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    for number, status in (("1e16000", 202), ("1e16384", 422), ("1e-16384", 422), ("1e999999999999999999", 422)):
        raw = json.dumps(BODY)[:-1] + f', "metadata": {{"n": {number}}}}}'
        assert api.call("POST", URL, data=raw, headers=headers).status_code == status, number


@pytest.mark.parametrize(
    "body",
    [b"{", b"not json", b"\xff\xfe", b"[" * 100_000, b'{"mrn":' + b"9" * 5000 + b"}", b'{"a":' * 2000 + b"1"],
    ids=lambda body: repr(body[:8]),
)
def test_a_body_that_is_no_json_is_a_bad_request(api: Api, body: bytes) -> None:
    answer = api.call("POST", URL, data=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400)


@pytest.mark.parametrize("body", [[], "text", 1, None])
def test_a_body_that_is_no_object_is_refused(api: Api, body: object) -> None:
    answer = api.call("POST", URL, data=json.dumps(body), headers={"Content-Type": "application/json"})
    assert errors_of(answer) == {"": "The body must be a JSON object."}


def test_another_content_type_is_refused(api: Api) -> None:
    assert_problem(api.call("POST", URL, data="mrn=1", headers={"Content-Type": "text/plain"}), 415)
    assert_problem(api.call("POST", URL), 415)


def test_a_body_over_the_limit_is_refused(api: Api, settings: Settings) -> None:
    assert_problem(api.post(BODY | {"note": "x" * settings.request_max_bytes}), 413)


@pytest.mark.parametrize(("method", "path"), [("DELETE", URL), ("PUT", f"{URL}/appt_1"), ("GET", "/webhooks/cobalt")])
def test_a_method_that_an_address_does_not_take_is_told_which_it_takes(api: Api, method: str, path: str) -> None:
    answer = api.call(method, path)
    assert_problem(answer, 405)
    assert method not in answer.headers["Allow"]
    assert answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/appointments", f"{URL}/appt_none/timeline/x", "/v1/appointments%00"])
def test_an_unknown_address_is_not_found(api: Api, path: str) -> None:
    assert_problem(api.get(path), 404)


@pytest.mark.parametrize("appointment_id", ["appt_01JD00000000000000000000", "%00", "x" * 3000, "%ff", "'; --"])
def test_an_unknown_appointment_is_not_found(api: Api, appointment_id: str) -> None:
    assert_problem(api.get(f"{URL}/{appointment_id}"), 404)
    assert_problem(api.get(f"{URL}/{appointment_id}/timeline"), 404)


def test_what_breaks_is_a_problem_that_tells_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(appointment_views, "get_appointment", broken)
    answer = api.get(f"{URL}/appt_1")
    assert "canary" not in json.dumps(assert_problem(answer, 500))
    line = next(line for line in log_lines() if line["event"] == "request broke")
    assert line["error"] == "RuntimeError"
    assert "test_api_appointments.py" in line["where"]
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert "canary" not in json.dumps(line)


# Accounts.


@pytest.fixture
def two_accounts(api: Api, settings: Settings) -> None:
    with transaction(api.engine) as session:
        add_account(
            session,
            settings,
            name="clinic_2",
            reference="user_2",
            access_token="at_2",
        )


@pytest.mark.usefixtures("two_accounts")
def test_the_account_must_be_named_where_there_are_several(api: Api) -> None:
    assert errors_of(api.post(BODY)) == {"/account": "is required, there are several; use one of: clinic_1, clinic_2"}
    assert api.post(BODY | {"account": "clinic_2"}).json["account"] == "clinic_2"


def test_without_any_account_the_answer_says_who_mends_it(
    make_app: Callable[[Settings], Flask], settings: Settings
) -> None:
    app = make_app(replace(settings, cobalt_account=None, cobalt_access_token=None))
    api = Api(client_of(app), services_of(app).engine)
    assert "accounts add" in errors_of(api.post(BODY))["/account"]


# Reading many.


@pytest.fixture
def one_of_each(book: Book) -> dict[str, str]:
    """An appointment in each state, by a name for it; the newest is first in time here too."""
    return {
        "created": book.created(),
        "patient_not_found": book.failed("Patient MRN '1' not found in eCW."),
        "gave_up": book.failed("Appointment creation failed after 3 attempts. Last error: x"),
        "accepted": book.accepted("cobalt_known"),
        "rejected": book.answered(cobalt.Rejected(400, "No such location", datetime.now(UTC))),
        "unconfirmed": book.answered(cobalt.Unclear("ReadTimeout")),
        "queued": book.queued()["id"],
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "created patient_not_found gave_up accepted rejected unconfirmed queued"),
        ("status=processing", "accepted unconfirmed queued"),
        ("status=created", "created"),
        ("status=failed", "patient_not_found gave_up rejected"),
        ("failure_category=gave_up", "gave_up"),
        ("failure_category=rejected_by_cobalt", "rejected"),
        ("status=created&failure_category=gave_up", ""),
        ("account=clinic_1&status=created", "created"),
        ("account=another", ""),
        ("cobalt_appointment_id=cobalt_known", "accepted"),
    ],
)
def test_a_filter_leaves_what_it_names(api: Api, one_of_each: dict[str, str], query: str, expected: str) -> None:
    listed = api.read(f"{URL}?sort=created_at&{query}")
    names = {appointment_id: name for name, appointment_id in one_of_each.items()}
    assert [names[row["id"]] for row in listed["data"]] == expected.split()
    assert listed["next_cursor"] is None


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "updated_at", "-updated_at"])
def test_a_list_is_in_the_order_that_was_asked_for(api: Api, one_of_each: dict[str, str], sort: str) -> None:
    rows = api.read(f"{URL}?sort={sort}")["data"]
    assert len(rows) == len(one_of_each)
    assert rows == sorted(rows, key=lambda row: (row[sort.strip("-")], row["id"]), reverse=sort.startswith("-"))


def test_a_list_shows_the_same_as_each_appointment_alone(api: Api, one_of_each: dict[str, str]) -> None:
    rows = {row["id"]: row for row in api.read(URL)["data"]}
    assert {row_id: api.read(f"{URL}/{row_id}") for row_id in one_of_each.values()} == rows


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=201", "/query/limit"),
        ("limit=-1", "/query/limit"),
        ("limit=ten", "/query/limit"),
        ("status=done", "/query/status"),
        ("failure_category=x", "/query/failure_category"),
        ("sort=mrn", "/query/sort"),
        ("stauts=created", "/query/stauts"),
        ("account=%00", "/query/account"),
    ],
)
def test_a_parameter_that_means_nothing_is_refused(api: Api, query: str, pointer: str) -> None:
    assert list(errors_of(api.get(f"{URL}?{query}"))) == [pointer]


def test_a_page_holds_fifty_unless_told_otherwise_and_two_hundred_at_most(api: Api, book: Book) -> None:
    for _ in range(51):
        book.queued()
    assert len(api.read(URL)["data"]) == 50
    assert len(api.read(f"{URL}?limit=200")["data"]) == 51


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "updated_at", "-updated_at"])
def test_pages_show_every_row_once_though_times_tie_and_rows_are_added(api: Api, book: Book, sort: str) -> None:
    before = [book.queued() for _ in range(23)]
    with transaction(api.engine) as session:  # no use case makes ties on purpose
        for number, row in enumerate(before):
            tied = session.get_one(Appointment, row["id"])
            tied.created_at = tied.updated_at = datetime(2026, 1, 1, 0, 0, number // 8, number % 2, tzinfo=UTC)
    seen: list[str] = []
    path = f"{URL}?{urlencode({'sort': sort, 'limit': 4, 'status': 'processing'})}"
    while path:
        answer = api.get(path)
        seen += [row["id"] for row in answer.json["data"]]
        assert (answer.json["next_cursor"] is None) == ("Link" not in answer.headers)
        path = ""
        if link := answer.headers.get("Link"):
            path, _, relation = link.partition(">; ")
            path = path.lstrip("<")
            assert relation == 'rel="next"'
            assert answer.json["next_cursor"] in path
        if len(seen) < 23:
            book.queued()  # newer than every other
    assert len(seen) == len(set(seen))
    assert {row["id"] for row in before} <= set(seen)


def test_a_cursor_of_another_list_or_an_altered_one_is_refused(api: Api, book: Book) -> None:
    for _ in range(3):
        book.queued()
    cursor = api.read(f"{URL}?limit=1&status=processing")["next_cursor"]
    good = f"{URL}?limit=2&status=processing&cursor="
    assert len(api.read(good + cursor)["data"]) == 2
    altered = [cursor[:10] + ("A" if cursor[10] != "A" else "B") + cursor[11:], cursor[:-4], cursor[5:], cursor * 2]
    for wrong in (*altered, "", "x", "%00", "%F0%9F%98%80", "A" * 5000):
        body = assert_problem(api.get(good + wrong), 400)
        assert [error["pointer"] for error in body["errors"]] == ["/query/cursor"]
    for other in ("status=created", "status=processing&sort=created_at", "status=processing&account=clinic_1"):
        assert_problem(api.get(f"{URL}?{other}&cursor={cursor}"), 400)


# The timeline.


def test_a_timeline_tells_all_that_happened_in_order_with_its_source(api: Api, book: Book) -> None:
    appointment_id = book.accepted("cobalt_1", mrn="555666777")
    book.tell("failed", "cobalt_1", event_id="evt_f", reason="Some words")
    book.tell("created", "cobalt_1", event_id="evt_c", mrn="555666777")
    book.tell("failed", "cobalt_1", event_id="evt_f")
    told = api.read(f"{URL}/{appointment_id}/timeline")
    assert told["appointment_id"] == appointment_id
    assert [(one["kind"], one["source"], one.get("disposition"), one.get("event_id")) for one in told["data"]] == [
        ("requested", "person", None, None),
        ("submission", "worker", None, None),
        ("event", "webhook", "applied", "evt_f"),
        ("event", "webhook", "applied", "evt_c"),
        ("delivery", "webhook", "duplicate", "evt_f"),
    ]
    assert [one["at"] for one in told["data"]] == sorted(one["at"] for one in told["data"])
    call, failed, created = (one["details"] for one in told["data"][1:4])
    assert (call["operation"], call["try"], call["outcome"]) == ("create", 1, "accepted")
    assert (failed["type"], failed["disposition_now"]) == ("appointment.failed", "superseded")
    assert created["data"]["mrn"] == "555666777"


# Request ids.


@pytest.mark.parametrize("good", ["client-1", "a" * 64, "A.b_c-d9"])
def test_a_request_id_of_the_callers_is_kept(api: Api, good: str) -> None:
    assert api.get(URL, headers={"X-Request-Id": good}).headers["X-Request-Id"] == good


@pytest.mark.parametrize("bad", ["", "short", "a" * 65, "has a space", 'quo"ted-1', "é" * 10, "{{7*7}}{{7*7}}"])
def test_a_bad_request_id_is_replaced(api: Api, bad: str) -> None:
    answered = api.get(URL, headers={"X-Request-Id": bad}).headers["X-Request-Id"]
    assert answered != bad
    assert answered.startswith("req_")


@pytest.mark.parametrize("path", ["/livez", "/readyz/api", "/readyz/webhooks", URL, f"{URL}/none", "/none", "/"])
def test_every_answer_has_a_request_id(api: Api, path: str) -> None:
    ids = {call(path).headers["X-Request-Id"] for call in (api.get, api.client.get, api.client.delete)}
    assert len(ids) == 3


def test_the_workers_log_lines_carry_the_request_id_of_the_post(
    api: Api, settings: Settings, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    appointment_id = api.post(BODY, headers={"X-Request-Id": "traced-all-the-way"}).json["id"]
    work_once(api.engine, settings, {BODY["mrn"]: cobalt.Accepted("cobalt_1", None, datetime.now(UTC))})
    lines = [line for line in log_lines() if line.get("appointment_id") == appointment_id]
    assert "submission answered" in [line["event"] for line in lines]
    assert {line["request_id"] for line in lines} == {"traced-all-the-way"}


@pytest.mark.parametrize("path", ["/livez", "/readyz/api", "/readyz/webhooks"])
def test_the_probes_answer_without_a_key(api: Api, path: str) -> None:
    assert api.client.get(path).json == {"status": "ok"}
