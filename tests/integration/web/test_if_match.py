"""If-Match: whoever decides about an appointment decides about the one that is there, or is told that it changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.cobalt import Rejected
from service.postgres.engine import transaction
from tests.integration.web.conftest import work_once
from tests.integration.web.test_api_appointments import URL, assert_problem
from tests.records import rows, until

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.integration.web.conftest import Answer, Api, Book

MASKED, UNMASKED = ("read", "write"), ("read", "phi", "write")
REFUSED = Rejected(400, "mrn is not good", datetime.now(UTC))
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def etag(api: Api, one: str, **rest: Any) -> str:
    found: str = api.get(f"{URL}/{one}", **rest).headers["ETag"]
    return found


def correct(api: Api, one: str, if_match: str, mrn: str = "42", **rest: Any) -> Answer:
    headers = {"If-Match": if_match} | rest.pop("headers", {})
    return api.call("PATCH", f"{URL}/{one}", json={"mrn": mrn}, headers=headers, **rest)


def resubmit(api: Api, one: str, if_match: str) -> Answer:
    return api.call("POST", f"{URL}/{one}/resubmit", headers={"If-Match": if_match})


def fail_again(api: Api, book: Book) -> tuple[str, str]:
    """One that failed, was corrected and failed once more; returns its id, and the ETag that it had before."""
    one = book.answered(REFUSED, mrn="111")
    before = etag(api, one)
    assert api.call("PATCH", f"{URL}/{one}", json={"mrn": "222"}).status_code == 202
    work_once(book.engine, book.settings, {"222": REFUSED})
    assert api.read(f"{URL}/{one}")["status"] == "failed"
    return one, before


def test_a_correction_of_what_is_still_so_is_taken(api: Api, book: Book) -> None:
    one = book.failed()
    answer = correct(api, one, etag(api, one))
    assert answer.status_code == 202
    assert answer.headers["ETag"] == etag(api, one)
    known = api.get(f"{URL}/{one}", headers={"If-None-Match": answer.headers["ETag"]})
    assert known.status_code == 304


@pytest.mark.parametrize("what", [correct, resubmit])
def test_what_has_changed_since_is_left_alone(api: Api, book: Book, engine: Engine, what: Any) -> None:  # noqa: ANN401
    one, before = fail_again(api, book)
    answer = what(api, one, before)
    assert "ETag" in assert_problem(answer, 412)["detail"]
    assert answer.headers["ETag"] == etag(api, one) != before
    assert api.read(f"{URL}/{one}")["attempt"] == 2
    assert len(rows(engine, "corrections")) == 1
    assert what(api, one, answer.headers["ETag"]).status_code == 202


def test_that_it_changed_is_said_before_that_its_state_forbids_it(api: Api, book: Book) -> None:
    one = book.failed()
    before = etag(api, one)
    book.api.post({}, f"{URL}/{one}/resubmit")
    assert resubmit(api, one, before).status_code == 412
    assert resubmit(api, one, etag(api, one)).status_code == 409


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("*", 202),
        ("{tag}", 202),
        ('"1-another", {tag}', 202),
        ('"1-another",W/"2-x",{tag},"9"', 202),
        ("W/{tag}", 412),
        ('"1-another", W/{tag}', 412),
        ('"1-another"', 412),
        ("", 412),
        ('""', 412),
        ("é,,;", 412),
        ('"33-{bare}"', 412),
        ('"-{bare}"', 412),
    ],
)
def test_any_strong_tag_of_the_list_will_do(api: Api, book: Book, given: str, status: int) -> None:
    one = book.failed()
    tag = etag(api, one)
    assert correct(api, one, given.format(tag=tag, bare=tag.strip('"'))).status_code == status


def test_what_is_not_there_is_not_found_whatever_is_named(api: Api) -> None:
    assert correct(api, "appt_none", "*").status_code == 404
    assert correct(api, "appt_none", '"1-x"').status_code == 404


@pytest.mark.parametrize(("reads", "writes"), [(MASKED, UNMASKED), (UNMASKED, MASKED)])
def test_who_sees_more_or_less_decides_about_the_same_version(
    api: Api, book: Book, reads: tuple[str, ...], writes: tuple[str, ...]
) -> None:
    one = book.failed(note="canary")
    read, own = etag(api, one, scopes=reads), etag(api, one, scopes=writes)
    assert read != own
    stale = correct(api, one, '"0"', scopes=writes)
    assert (stale.status_code, stale.headers["ETag"]) == (412, own)
    assert correct(api, one, read, scopes=writes).status_code == 202
    assert correct(api, one, own, scopes=writes).status_code == 412


def test_a_repeated_request_gets_its_first_answer_though_that_changed_the_appointment(api: Api, book: Book) -> None:
    one = book.failed()
    before = etag(api, one)
    key = {"Idempotency-Key": "k"}
    first = correct(api, one, before, headers=key)
    again = correct(api, one, before, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]
    assert correct(api, one, before, headers={"Idempotency-Key": "another"}).status_code == 412


def test_a_refusal_is_not_kept(api: Api, book: Book) -> None:
    one = book.failed()
    key = {"Idempotency-Key": "k"}
    stale = correct(api, one, '"0"', headers=key)
    assert stale.status_code == 412
    assert correct(api, one, stale.headers["ETag"], headers=key).status_code == 202


def test_of_two_people_who_correct_the_same_one_wins(api: Api, book: Book, engine: Engine) -> None:
    """Both wait for the row, so that both have been let in before either is decided."""
    one = book.failed()
    known = etag(api, one)
    mrns = ["501", "502"]
    with ThreadPoolExecutor(2) as pool:
        with transaction(engine) as session:
            session.execute(text("SELECT FROM appointments FOR UPDATE"))
            answers = [pool.submit(correct, api, one, known, mrn) for mrn in mrns]
            with transaction(engine) as watching:
                until(lambda: watching.scalar(text(WAITING)) == len(mrns))
        found = {mrn: answer.result().status_code for mrn, answer in zip(mrns, answers, strict=True)}
    assert sorted(found.values()) == [202, 412]
    taken = api.read(f"{URL}/{one}")
    assert (taken["attempt"], found[taken["request"]["mrn"]]) == (2, 202)


def test_a_request_is_answered_with_the_etag_of_what_it_made(api: Api, book: Book) -> None:
    answer = api.post(book.queued()["request"] | {"mrn": "77"}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202
    assert answer.headers["ETag"] == etag(api, answer.json["id"])
