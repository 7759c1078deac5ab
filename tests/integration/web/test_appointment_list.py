"""Lists of appointments: every filter, every order, pages, chosen fields, and CSV."""

from __future__ import annotations

import base64
import codecs
import csv
import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import update

from service import cobalt
from service.errors import DatabaseUnavailableError
from service.postgres.engine import transaction
from service.postgres.models import Appointment
from service.postgres.queries import appointment_views
from service.web.schemas.appointments import AppointmentListOut
from service.web.schemas.list_query import SHOWN
from service.web.views import appointment_file
from tests.integration.web.conftest import Api, work_once
from tests.integration.web.test_api_appointments import URL, assert_problem, errors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from service.config import Settings
    from tests.integration.web.conftest import Answer, Book

CSV = {"Accept": "text/csv"}


def ids(api: Api, **query: object) -> list[str]:
    return [row["id"] for row in api.read(URL, query_string=query)["data"]]


def csv_rows(answer: Answer) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def age(api: Api, appointment_id: str, **columns: datetime | None) -> None:
    """Change what no use case can: the time at which something happened."""
    with transaction(api.engine) as session:
        session.execute(update(Appointment).where(Appointment.id == appointment_id).values(columns))


# Filters.


@pytest.fixture
def various(api: Api, book: Book) -> dict[str, str]:
    """Appointments that differ in what is filtered by; name -> id, the oldest first."""
    found = {
        "created": book.created(mrn="111111111", provider="Dr. Jones"),
        "failed": book.failed("Patient MRN '1' not found in eCW.", mrn="222222222", type="follow_up"),
        "accepted": book.accepted("cobalt_known", mrn="333333333"),
        "rejected": book.answered(cobalt.Rejected(400, "No such location", datetime.now(UTC))),
        "unconfirmed": book.answered(cobalt.Unclear("ReadTimeout")),
        "queued": book.queued(mrn="222222222", provider="Dr. Jones")["id"],
        "late": book.queued(type="follow_up")["id"],
    }
    age(api, found["late"], requested_at=datetime.now(UTC) - timedelta(hours=1))
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"submission": "accepted"}, "created failed accepted"),
        ({"submission": "queued"}, "queued late"),
        ({"submission": "unconfirmed"}, "unconfirmed"),
        ({"submission": "rejected"}, "rejected"),
        ({"submission": "sending"}, ""),
        ({"mrn": "222222222"}, "failed queued"),
        ({"mrn": "22222222"}, ""),
        ({"provider": "Dr. Jones"}, "created queued"),
        ({"provider": "dr. jones"}, ""),
        ({"type": "follow_up"}, "failed late"),
        ({"overdue": "true"}, "late"),
        ({"overdue": "false"}, "created failed accepted rejected unconfirmed queued"),
        ({"overdue": "false", "status": "processing"}, "accepted unconfirmed queued"),
        ({"overdue": "true", "status": "failed"}, ""),
        ({"mrn": "222222222", "provider": "Dr. Jones", "status": "processing"}, "queued"),
        ({"status": "failed", "account": "clinic_1"}, "failed rejected"),
        ({"submission": "accepted", "account": "clinic_1", "type": "follow_up"}, "failed"),
        ({"mrn": "' OR true; --"}, ""),
        ({"account": "%s%(status)s"}, ""),
    ],
    ids=str,
)
def test_filters_narrow_a_list_down_together(
    api: Api, various: dict[str, str], query: dict[str, str], expected: str
) -> None:
    names = {appointment_id: name for name, appointment_id in various.items()}
    for sort in ("created_at", "updated_at"):
        found = [names[one] for one in ids(api, sort=sort, **query)]
        assert sorted(found) == sorted(expected.split())
    assert ids(api, sort="created_at", **query) == ids(api, **query)[::-1]


def test_what_a_list_calls_overdue_is_shown_as_overdue(api: Api, various: dict[str, str]) -> None:
    assert various
    for value in (True, False):
        rows = api.read(URL, query_string={"overdue": str(value).lower()})["data"]
        assert {row["overdue"] for row in rows} == {value}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"created_from": "2026-01-02T00:00:00Z"}, "second third"),
        ({"created_to": "2026-01-02T00:00:00Z"}, "first"),
        ({"created_from": "2026-01-02T00:00:00Z", "created_to": "2026-01-03T00:00:00Z"}, "second"),
        ({"created_from": "2026-01-02T00:00:00Z", "created_to": "2026-01-02T00:00:00Z"}, ""),
        ({"created_from": "2026-01-03T00:00:00Z", "created_to": "2026-01-01T00:00:00Z"}, ""),
        ({"created_from": "2026-01-02T01:00:00+01:00"}, "second third"),
        ({"created_from": "2026-01-01T19:00:00.000001-05:00"}, "third"),
        ({"created_from": "2026-01-02t00:00:00z"}, "second third"),
        (
            {"created_from": "0001-01-01T00:00:00+14:00", "created_to": "9999-12-31T23:59:59-14:00"},
            "first second third",
        ),
        ({"starts_from": "2026-02-02T00:00:00Z"}, "second"),
        ({"starts_to": "2026-02-02T00:00:00Z"}, "first"),
        ({"starts_from": "2026-02-01T00:00:00Z", "starts_to": "2026-02-02T00:00:00Z"}, "first"),
        ({"starts_from": "2000-01-01T00:00:00Z"}, "first second"),
    ],
    ids=str,
)
def test_a_range_of_time_holds_its_beginning_and_not_its_end(
    api: Api, book: Book, query: dict[str, str], expected: str
) -> None:
    names = {}
    for day, name in enumerate(("first", "second", "third"), 1):
        one = book.queued()["id"]
        starts_at = None if name == "third" else datetime(2026, 2, day, tzinfo=UTC)
        age(api, one, created_at=datetime(2026, 1, day, tzinfo=UTC), starts_at=starts_at)
        names[one] = name
    assert [names[one] for one in ids(api, sort="created_at", **query)] == expected.split()


def test_a_start_is_found_once_it_is_known_as_an_instant(api: Api, book: Book) -> None:
    on_the_wall = book.accepted("c1", date="2030-01-15", time="10:00")
    exact = book.queued(date=None, time=None, datetime="2030-01-15T11:00:00-05:00")["id"]
    query = {"starts_from": "2030-01-15T15:00:00Z", "starts_to": "2030-01-15T17:00:00Z", "sort": "created_at"}
    assert ids(api, **query) == [exact]
    book.tell("created", "c1")
    assert ids(api, **query) == [on_the_wall, exact]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("submission=done", "/query/submission"),
        ("overdue=yes", "/query/overdue"),
        ("overdue=", "/query/overdue"),
        ("mrn=%00", "/query/mrn"),
        ("created_from=2026-01-01", "/query/created_from"),
        ("created_from=2026-01-01T00:00:00", "/query/created_from"),
        ("created_to=2026-01-01T00:00:00+01:00", "/query/created_to"),  # a + that was not escaped is a space
        ("starts_from=20260101T000000Z", "/query/starts_from"),
        ("starts_from=2026-W01-1T00:00:00Z", "/query/starts_from"),
        ("starts_to=2026-02-30T00:00:00Z", "/query/starts_to"),
        ("starts_to=0000-01-01T00:00:00Z", "/query/starts_to"),
        ("starts_to=canary", "/query/starts_to"),
        ("fields=", "/query/fields"),
        ("fields=id,canary", "/query/fields/1"),
        ("fields=id,,status", "/query/fields/1"),
        ("fields=request.mrn", "/query/fields/0"),
        ("123456789=canary", "/query"),
    ],
)
@pytest.mark.parametrize("headers", [{}, CSV], ids=["json", "csv"])
def test_what_means_nothing_is_refused_by_its_name(api: Api, headers: dict[str, str], query: str, pointer: str) -> None:
    answer = api.get(f"{URL}?{query}", headers=headers)
    assert list(errors_of(answer)) == [pointer]
    assert "canary" not in answer.text


def test_the_mrn_of_a_filter_is_in_no_header_cursor_or_log_line(
    api: Api, book: Book, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    made = [book.queued(mrn="555666777")["id"] for _ in range(3)]
    answer = api.get(f"{URL}?mrn=555666777&limit=1&fields=id&sort=created_at")
    cursor = answer.json["next_cursor"]
    assert "555666777" not in answer.text + str(answer.headers)
    assert b"555666777" not in base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert follow(api, answer.headers["Link"].partition(">")[0].lstrip("<")) == made[1:]
    assert "555666777" not in str(log_lines())


@pytest.mark.parametrize("wanted", ["M\u00dc 42", "MU\u0308 42", " M\u00dc\u00a0 42\u200b"])
def test_an_mrn_is_found_in_whatever_way_it_was_written(api: Api, book: Book, wanted: str) -> None:
    given = ["M\u00dc 42", "MU\u0308 42", "\u00a0M\u00dc  42 "]
    book.queued(mrn="M\u00dc 43")
    ids = {mrn: book.queued(mrn=mrn)["id"] for mrn in given}
    listed = api.read(URL, query_string={"mrn": wanted})["data"]
    assert {one["request"]["mrn"]: one["id"] for one in listed} == ids
    first = api.get(URL, query_string={"mrn": wanted, "limit": 2})
    following = api.read(URL, query_string={"mrn": wanted, "limit": 2, "cursor": first.json["next_cursor"]})
    assert {one["id"] for page in (first.json, following) for one in page["data"]} == set(ids.values())


def test_a_corrected_mrn_is_found_as_it_is_now(api: Api, book: Book) -> None:
    refused = cobalt.Rejected(400, "no", datetime.now(UTC))
    one = book.answered(refused, mrn="M\u00dc 42")
    for mrn in ("MU\u0308 43", "44"):
        assert api.call("PATCH", f"{URL}/{one}", json={"mrn": mrn}).status_code == 202
        assert [found["id"] for found in api.read(URL, query_string={"mrn": mrn})["data"]] == [one]
        assert api.read(URL, query_string={"mrn": "M\u00dc 42"})["data"] == []
        work_once(api.engine, book.settings, {mrn: refused})
    assert api.read(URL, query_string={"mrn": "M\u00dc 43"})["data"] == []


def test_a_cursor_carries_what_the_list_is_narrowed_by(api: Api, various: dict[str, str]) -> None:
    assert various
    for narrowed in ("status=processing", "overdue=false&sort=created_at", "created_from=2020-01-01T00:00:00%2B01:00"):
        whole = api.read(f"{URL}?{narrowed}")["data"]
        cursor = api.read(f"{URL}?{narrowed}&limit=1")["next_cursor"]
        for path in (f"{URL}?cursor={cursor}", f"{URL}?{narrowed}&cursor={cursor}"):
            assert api.read(path)["data"] == whole[1:]


# Pages.


def follow(api: Api, path: str, **rest: Any) -> list[str]:
    """Read page after page by the header Link; returns every id."""
    seen = []
    for _ in range(100):
        answer = api.get(path, **rest)
        assert answer.status_code == 200, answer.text
        seen += [row["id"] for row in answer.json["data"]]
        link = answer.headers.get("Link")
        assert (answer.json["next_cursor"] is None) == (link is None)
        if link is None:
            return seen
        path, _, relation = link.partition(">; ")
        path = path.lstrip("<")
        assert relation == 'rel="next"'
    raise AssertionError("the pages have no end")


@pytest.mark.parametrize(
    "query",
    [
        {"status": "processing", "overdue": "false"},
        {"created_from": "2020-01-01T00:00:00+01:00", "created_to": "2100-01-01t00:00:00z"},
        {"provider": "Dr. O'Hara & Söhne, +1 \U0001f469", "type": "a=b"},
        {"mrn": "a/b?c#d%20", "fields": "version,id"},
    ],
    ids=str,
)
def test_the_link_leads_through_every_page_of_the_same_list(api: Api, book: Book, query: dict[str, str]) -> None:
    asked = {"provider": "Dr. O'Hara & Söhne, +1 \U0001f469", "type": "a=b", "mrn": "a/b?c#d%20"}
    made = [book.queued(**asked)["id"] for _ in range(5)]
    book.created()
    found = follow(api, f"{URL}?{urlencode(query | {'limit': '2', 'sort': 'created_at'}, quote_via=quote)}")
    assert found[:5] == made
    assert len(found) == len(set(found))


def test_pages_stay_right_while_rows_change(api: Api, book: Book) -> None:
    rows = [book.accepted(f"c{number}") for number in range(6)]
    newest_first = [*reversed(rows)]
    first = api.get(f"{URL}?limit=3")
    assert [row["id"] for row in first.json["data"]] == newest_first[:3]
    book.tell("created", "c5")
    book.tell("failed", "c0")
    book.queued()
    rest = api.read(f"{URL}?limit=50&cursor={first.json['next_cursor']}")
    assert [row["id"] for row in rest["data"]] == newest_first[3:]


def test_another_instance_goes_on_where_this_one_stopped(
    api: Api, book: Book, make_app: Callable[[Settings], Flask], settings: Settings
) -> None:
    made = [book.queued()["id"] for _ in range(2)]
    cursor = api.read(f"{URL}?limit=1&sort=created_at")["next_cursor"]
    other = Api(make_app(settings).test_client(), api.engine)
    assert [row["id"] for row in other.read(f"{URL}?sort=created_at&cursor={cursor}")["data"]] == made[1:]


def test_a_cursor_is_for_any_size_of_page_and_any_fields(api: Api, book: Book) -> None:
    for _ in range(4):
        book.queued()
    cursor = api.read(f"{URL}?limit=1")["next_cursor"]
    assert len(api.read(f"{URL}?limit=2&fields=id&cursor={cursor}")["data"]) == 2
    assert len(csv_rows(api.get(f"{URL}?cursor={cursor}", headers=CSV))) == 3


@pytest.mark.parametrize("headers", [{}, CSV], ids=["json", "csv"])
def test_a_cursor_of_another_list_is_a_bad_request(api: Api, book: Book, headers: dict[str, str]) -> None:
    for _ in range(2):
        book.queued()
    cursor = api.read(f"{URL}?limit=1")["next_cursor"]
    body = assert_problem(api.get(f"{URL}?status=processing&cursor={cursor}", headers=headers), 400)
    assert [error["pointer"] for error in body["errors"]] == ["/query/cursor"]
    assert "next_cursor" in body["detail"]


# Fields.


def test_only_the_fields_asked_for_are_shown_in_that_order(api: Api, book: Book) -> None:
    one = book.created()
    whole = api.read(f"{URL}/{one}")
    (row,) = api.read(f"{URL}?fields=status,id,request,status")["data"]
    assert list(row) == ["status", "id", "request"]
    assert row == {name: whole[name] for name in row}
    assert api.read(f"{URL}?fields={','.join(SHOWN)}")["data"] == [whole]


def test_chosen_fields_are_masked_all_the_same(api: Api, book: Book) -> None:
    book.failed("MRN 555666777 is wrong", mrn="555666777", note="canary")
    answer = api.get(f"{URL}?fields=request,failure", scopes=("read",))
    assert len(answer.json["data"]) == 1
    assert "555666777" not in answer.text
    assert "canary" not in answer.text


# Types.


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv; charset=utf-8; header=present"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv; charset=utf-8; header=present"),
        ("text/*", "text/csv; charset=utf-8; header=present"),
        ("application/json;q=0, */*", "text/csv; charset=utf-8; header=present"),
        ("application/json; charset=utf-8", "application/json"),
        ('application/json;charset="UTF-8";q=0.5', "application/json"),
        (
            "application/json;charset=utf-8;q=0.1, text/csv;charset=utf-8;q=0.2",
            "text/csv; charset=utf-8; header=present",
        ),
        ("application/json;charset=utf-8;q=0, */*;q=0.1", "text/csv; charset=utf-8; header=present"),
        ("text/csv; header=present; charset=utf-8", "text/csv; charset=utf-8; header=present"),
        ("text/csv; charset=utf-16, application/json", "application/json"),
        ("application/json; version=1", "application/json"),
    ],
)
def test_the_caller_chooses_the_type_by_the_header_accept(api: Api, accept: str | None, answered: str) -> None:
    answer = api.get(URL, headers={"Accept": accept} if accept else {})
    assert answer.status_code == 200
    assert answer.content_type == answered
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "accept",
    [
        *("application/xml", "text/html", "image/*", "application/json;q=0", "application/json;charset=utf-8;q=0"),
        *("text/csv; charset=iso-8859-1", "text/csv; header=absent"),
    ],
)
def test_a_type_that_there_is_not_is_not_acceptable(api: Api, accept: str) -> None:
    assert_problem(api.get(URL, headers={"Accept": accept}), 406)


# CSV.


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appointment_file, "ROWS_AT_ONCE", 2)


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("sort", ["created_at", "-created_at", "updated_at", "-updated_at"])
def test_a_file_holds_the_whole_list_in_the_same_order(api: Api, book: Book, sort: str) -> None:
    for _ in range(5):
        book.queued()
    book.created()
    rows = csv_rows(api.get(f"{URL}?status=processing&sort={sort}", headers=CSV))
    assert [row["id"] for row in rows] == ids(api, status="processing", sort=sort)
    assert len(rows) == 5


def test_with_a_limit_csv_comes_by_the_page_too(api: Api, book: Book) -> None:
    made = [book.queued()["id"] for _ in range(3)]
    path = f"{URL}?limit=2&sort=created_at"
    first = api.get(path, headers=CSV)
    assert [row["id"] for row in csv_rows(first)] == made[:2]
    following = first.headers["Link"].partition(">")[0].lstrip("<")
    second = api.get(following, headers=CSV)
    assert [row["id"] for row in csv_rows(second)] == made[2:]
    assert "Link" not in second.headers


def test_a_file_says_the_same_as_json(api: Api, various: dict[str, str]) -> None:
    rows = {row["id"]: row for row in csv_rows(api.get(URL, headers=CSV))}
    assert set(rows) == set(various.values())
    for one in api.read(URL)["data"]:
        row = rows[one["id"]]
        assert {name: row[name] for name in ("status", "created_at", "updated_at", "account")} == {
            name: one[name] for name in ("status", "created_at", "updated_at", "account")
        }
        assert row["overdue"] == str(one["overdue"]).lower()
        assert row["submission"] == one["submission"]["state"]
        assert {name: row[name] or None for name in one["request"]} == one["request"]
        assert row["failure_category"] == (one["failure"] or {}).get("category", "")
        assert row["confirmed_starts_at"] == (one["confirmation"] or {}).get("starts_at", "")


def test_without_phi_a_file_is_masked_and_has_no_free_text(api: Api, book: Book) -> None:
    book.failed(
        "Patient MRN '555666777' not found", {"x": "555666777"}, mrn="555666777", note="canary", reason="canary",
        metadata={"mrn": "555666777"},
    )  # fmt: skip
    answer = api.get(URL, scopes=("read",), headers=CSV)
    (row,) = csv_rows(answer)
    assert row["mrn"] == "***77"
    assert {"note", "reason"}.isdisjoint(row)
    assert "555666777" not in answer.text
    assert "canary" not in answer.text
    (row,) = csv_rows(api.get(URL, scopes=("read", "phi"), headers=CSV))
    assert (row["mrn"], row["note"], row["reason"]) == ("555666777", "canary", "canary")


@pytest.mark.usefixtures("few_at_once")
def test_a_file_that_cannot_begin_is_a_problem(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError("PostgreSQL is away")

    monkeypatch.setattr(appointment_views, "list_appointments", away)
    assert_problem(api.get(URL, headers=CSV), 503)
    monkeypatch.undo()
    for _ in range(appointment_file.FILES_AT_ONCE + 1):  # none of the places is lost
        assert api.get(URL, headers=CSV).status_code == 200


@pytest.mark.usefixtures("few_at_once")
def test_a_file_that_breaks_in_the_middle_does_not_end_as_a_whole_one_would(
    api: Api, book: Book, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    for _ in range(5):
        book.queued()
    pages = iter([appointment_views.list_appointments])

    def once(*given: Any, **named: Any) -> object:
        for page in pages:
            return page(*given, **named)
        raise DatabaseUnavailableError

    monkeypatch.setattr(appointment_views, "list_appointments", once)
    with pytest.raises(DatabaseUnavailableError):  # the server breaks the connection off
        api.get(URL, headers=CSV)
    assert "a file broke off" in [line["event"] for line in log_lines()]


def test_only_so_many_files_are_sent_at_once(api: Api) -> None:
    sent = [api.piecewise().get(URL, headers=CSV, buffered=False) for _ in range(appointment_file.FILES_AT_ONCE)]
    answer = api.get(URL, headers=CSV)
    assert_problem(answer, 503)
    assert answer.headers["Retry-After"]
    assert api.get(f"{URL}?limit=1", headers=CSV).status_code == 200
    for one in sent:
        one.close()
    assert api.get(URL, headers=CSV).status_code == 200


def test_a_file_is_refused_where_its_end_could_not_be_told(api: Api) -> None:
    http_1_0 = {"SERVER_PROTOCOL": "HTTP/1.0"}
    assert_problem(api.get(URL, headers=CSV, environ_overrides=http_1_0), 505)
    assert api.get(f"{URL}?limit=1", headers=CSV, environ_overrides=http_1_0).status_code == 200
    assert api.get(URL, environ_overrides=http_1_0).status_code == 200


def test_a_file_can_be_asked_about_without_being_read(api: Api, book: Book) -> None:
    book.queued()
    for _ in range(appointment_file.FILES_AT_ONCE + 1):
        with api.call("HEAD", URL, headers=CSV) as answer:
            assert (answer.status_code, answer.text) == (200, "")
            assert "attachment" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize("query", ["", "?limit=1"])
@pytest.mark.parametrize(
    ("accept", "marked"),
    [
        ("text/csv", False),
        ("text/csv; header=present", False),
        ("text/csv; charset=utf-8", True),
        ("text/csv; header=present; charset=UTF-8", True),
        ("application/json;q=0.1, text/csv;charset=utf-8", True),
        ("text/*", False),
    ],
)
def test_who_names_the_charset_gets_a_file_that_names_it_too(
    api: Api, book: Book, query: str, accept: str, *, marked: bool
) -> None:
    book.queued(provider="Dr. S\u00f6hne")
    answer = api.get(f"{URL}{query}", headers={"Accept": accept})
    assert answer.content_type == "text/csv; charset=utf-8; header=present"
    assert answer.data.startswith(codecs.BOM_UTF8) is marked
    assert answer.data.decode().count("\ufeff") == marked
    assert answer.data.decode("utf-8-sig").startswith("object,")


def test_json_has_no_byte_order_mark(api: Api) -> None:
    accept = {"Accept": "text/csv;charset=utf-8;q=0.1, application/json;charset=utf-8"}
    assert api.get(URL, headers=accept).data.startswith(b"{")


# The document.


def test_a_list_is_as_its_schema_says(api: Api, various: dict[str, str]) -> None:
    assert various
    for scopes in (("read",), ("read", "phi")):
        listed = api.read(URL, scopes=scopes)
        assert AppointmentListOut().validate(listed) == {}
        assert {tuple(row) for row in listed["data"]} == {SHOWN}


def test_nothing_is_counted(api: Api) -> None:
    assert api.read(URL) == {"data": [], "next_cursor": None}
