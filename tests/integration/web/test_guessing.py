"""A key without ``phi`` cannot find out an MRN by trying: a right guess is answered like a wrong one, everywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from service.postgres.engine import transaction
from tests.integration.web.test_api_appointments import assert_problem
from tests.records import rows

if TYPE_CHECKING:
    from tests.integration.web.conftest import Answer, Api, Book

URL = "/v1/appointments"
CSV = {"Accept": "text/csv"}
MRN = "555666777"
READ = ("read", "ops")
SEEING = ("read", "phi")

# What is its own in each answer and says nothing of what was found.
_OWN = re.compile(r'"\d{4}-\d\d-\d\dT[^"]*Z"|"seconds":[0-9.]+|(req|appt|cobalt|evt)_[0-9A-Za-z]+')


def seen(answer: Answer) -> tuple[int, str]:
    """What a caller could tell two answers apart by."""
    return answer.status_code, _OWN.sub("", answer.get_data(as_text=True))


@pytest.mark.parametrize("headers", [{}, CSV, {"Prefer": "wait=1"}], ids=str)
@pytest.mark.parametrize("beside", ["", "&limit=1", "&status=processing&fields=id", "&sort=updated_at"])
def test_a_right_guess_is_refused_like_a_wrong_one(api: Api, book: Book, headers: dict[str, str], beside: str) -> None:
    book.queued(mrn=MRN)
    right, wrong = (api.get(f"{URL}?mrn={mrn}{beside}", scopes=READ, headers=headers) for mrn in (MRN, MRN[::-1]))
    body = assert_problem(right, 403)
    assert seen(right) == seen(wrong)
    assert right.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="phi"'
    assert [error["pointer"] for error in body["errors"]] == ["/query/mrn"]
    assert "`phi`" in body["detail"]
    assert MRN not in right.text + str(right.headers)
    assert len(api.read(f"{URL}?mrn={MRN}", scopes=SEEING)["data"]) == 1


def test_what_a_key_with_phi_asks_for_is_recorded(api: Api, book: Book) -> None:
    one = book.queued(mrn=MRN)["id"]
    before = len(rows(api.engine, "phi_reads"))
    api.read(f"{URL}?mrn={MRN}", scopes=SEEING)
    [read] = rows(api.engine, "phi_reads")[before:]
    assert (read["record_ids"], read["filters"]) == ([one], ["mrn"])


@pytest.mark.parametrize("name", ["provider", "type"])
@pytest.mark.parametrize("headers", [{}, CSV], ids=["json", "csv"])
def test_a_field_that_repeats_the_mrn_does_not_confirm_it(
    api: Api, book: Book, headers: dict[str, str], name: str
) -> None:
    for number in range(5):
        book.queued(mrn=MRN, **{name: f"Dr. {MRN}"}, note=str(number))
    for beside in ("", "&limit=1", "&limit=3&sort=created_at"):
        right, wrong = (
            api.get(f"{URL}?{name}=Dr. {guess}{beside}", scopes=READ, headers=headers) for guess in (MRN, MRN[::-1])
        )
        assert right.status_code == 200
        assert seen(right) == seen(wrong)
        assert ("Link" in right.headers, "Link" in wrong.headers) == (False, False)
    assert len(api.read(f"{URL}?{name}=Dr. {MRN}", scopes=SEEING)["data"]) == 5


def test_what_is_left_out_does_not_shorten_a_page(api: Api, book: Book) -> None:
    shown = []
    for _ in range(4):
        shown.append(book.queued(mrn=MRN, provider="Dr. 777888999")["id"])
        for _ in range(3):
            book.queued(mrn="777888999", provider="Dr. 777888999")
        shown.append(book.queued(mrn=MRN, provider="Dr. 777888999")["id"])
    following, pages = f"{URL}?provider=Dr. 777888999&limit=3&sort=created_at", []
    while following:
        answer = api.get(following, scopes=READ)
        pages.append([row["id"] for row in answer.json["data"]])
        following = answer.headers.get("Link", "").partition(">")[0].lstrip("<")
    assert pages == [shown[:3], shown[3:6], shown[6:]]
    assert len(api.read(f"{URL}?provider=Dr. 777888999", scopes=SEEING)["data"]) == 20


def test_a_correction_that_repeats_the_mrn_is_recorded_as_a_read_of_it(api: Api, book: Book) -> None:
    one = book.failed(mrn=MRN)
    before = len(rows(api.engine, "phi_reads"))
    answer = api.call("PATCH", f"{URL}/{one}", scopes=("write",), json={"location": f"111222333 {MRN}", "type": "new"})
    assert answer.json["request"]["location"] == "111222333 ***77"
    [read] = rows(api.engine, "phi_reads")[before:]
    assert (read["operation"], read["record_ids"]) == (f"PATCH {URL}/<appointment_id>", [one])
    assert read["filters"] == ["location"]


def test_a_correction_by_a_key_without_phi_is_answered_the_same_whether_or_not_it_names_the_mrn_there_was(
    api: Api, book: Book
) -> None:
    answers = []
    failed = [book.failed(mrn=MRN) for _ in range(2)]
    for one, guess in zip(failed, (MRN, "111222377"), strict=True):
        before = len(rows(api.engine, "phi_reads"))
        answers.append(api.call("PATCH", f"{URL}/{one}", scopes=("read", "write"), json={"mrn": guess}))
        answers.append(api.get(f"{URL}/{one}", scopes=READ))
        answers.append(api.get(f"{URL}/{one}/timeline", scopes=READ))
        assert len(rows(api.engine, "phi_reads")) == before
    right, wrong = answers[:3], answers[3:]
    assert [one.status_code for one in right] == [202, 200, 200]
    for one, other in zip(right, wrong, strict=True):
        assert seen(one) == seen(other)


def test_an_etag_does_not_tell_which_mrn_is_masked(api: Api, book: Book) -> None:
    one = book.queued(mrn=MRN)["id"]
    tags = []
    for mrn in (MRN, "111222377"):
        with transaction(api.engine) as session:
            session.execute(
                text(
                    "UPDATE appointments SET mrn = :mrn, request = jsonb_set(request, '{mrn}', to_jsonb(:mrn ::text))"
                ),
                {"mrn": mrn},
            )
        tags.append(api.get(f"{URL}/{one}", scopes=READ).headers["ETag"])
    assert tags[0] == tags[1]


def test_a_cursor_of_a_key_with_phi_is_of_no_use_without_it(api: Api, book: Book) -> None:
    for _ in range(2):
        book.queued(mrn=MRN)
    cursor = api.read(f"{URL}?mrn={MRN}&limit=1", scopes=SEEING)["next_cursor"]
    assert len(api.read(f"{URL}?cursor={cursor}", scopes=SEEING)["data"]) == 1
    assert_problem(api.get(f"{URL}?cursor={cursor}", scopes=READ), 400)
    right, wrong = (api.get(f"{URL}?cursor={cursor}&mrn={mrn}", scopes=READ) for mrn in (MRN, "1"))
    assert_problem(right, 403)
    assert seen(right) == seen(wrong)
