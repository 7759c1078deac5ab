"""One appointment: whoever has it already is told so in a few bytes, and learns of every change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from service import cobalt
from service.postgres.engine import transaction
from service.postgres.models import Appointment
from service.postgres.queries import asking
from service.postgres.queries.decisions import Person
from service.usecases.submissions.adopt import abandon_by_hand, adopt, adopt_by_hand, give_up
from service.usecases.submissions.record_reply import record_reply
from service.usecases.submissions.submit import expire_leases
from service.web.schemas.appointments import AppointmentOut
from tests.integration.web.test_api_appointments import URL
from tests.records import ACCOUNT, claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.web.conftest import Api, Book

LATER = timedelta(days=1)


def etag(api: Api, appointment_id: str, **rest: Any) -> str:
    found: str = api.get(f"{URL}/{appointment_id}", **rest).headers["ETag"]
    return found


def test_an_unchanged_appointment_is_not_sent_again(api: Api, book: Book) -> None:
    one = book.created()
    first = api.get(f"{URL}/{one}")
    assert first.headers["Cache-Control"] == "no-store"
    tag = first.headers["ETag"]
    again = api.get(f"{URL}/{one}", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert (again.headers["ETag"], again.headers["Cache-Control"]) == (tag, "no-store")
    assert again.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"another", {tag}, "a third"', 304),
        ("*", 304),
        ('"another"', 200),
        ('W/"another", "a third"', 200),
        ("", 200),
        ("{bare}x", 200),
        ("é,,;", 200),
    ],
)
def test_any_tag_of_the_list_will_do(api: Api, book: Book, given: str, status: int) -> None:
    one = book.queued()["id"]
    tag = etag(api, one)
    header = given.format(tag=tag, bare=tag.strip('"'))
    assert api.get(f"{URL}/{one}", headers={"If-None-Match": header}).status_code == status


def test_what_is_not_there_is_not_found_whatever_the_caller_has(api: Api) -> None:
    assert api.get(f"{URL}/appt_none", headers={"If-None-Match": "*"}).status_code == 404


def test_who_sees_less_has_another_tag(api: Api, book: Book) -> None:
    one = book.created(note="canary")
    masked = etag(api, one, scopes=("read",))
    assert masked != etag(api, one, scopes=("read", "phi"))
    assert masked == etag(api, one, scopes=("read", "write"))


def test_becoming_overdue_changes_the_tag(api: Api, book: Book) -> None:
    one = book.accepted("c1")
    before = etag(api, one)
    with transaction(api.engine) as session:  # nothing that is shown
        asked_at = datetime.now(UTC) - LATER
        session.execute(update(Appointment).where(Appointment.id == one).values(requested_at=asked_at))
    answer = api.get(f"{URL}/{one}", headers={"If-None-Match": before})
    assert (answer.status_code, answer.json["overdue"]) == (200, True)


def question(api: Api, appointment_id: str) -> asking.Question:
    with transaction(api.engine) as session:
        session.execute(update(Appointment).where(Appointment.id == appointment_id).values(due_at=datetime.now(UTC)))
    with transaction(api.engine) as session:
        (found,) = asking.claim_questions(session, allowed={ACCOUNT: 1}, now=datetime.now(UTC), interval=LATER)
    return found


def claimed(api: Api, book: Book) -> Iterator[str]:
    yield book.queued()["id"]
    claim(api.engine)


def the_worker_lost(api: Api, book: Book) -> Iterator[str]:
    one = book.queued()["id"]
    claim(api.engine)
    yield one
    with transaction(api.engine) as session:
        session.execute(update(Appointment).values(lease_until=datetime.now(UTC) - LATER))
    assert expire_leases(api.engine) == {"expired": 1}


def answered(reply: cobalt.Reply) -> Callable[[Api, Book], Iterator[str]]:
    def case(api: Api, book: Book) -> Iterator[str]:
        one = book.queued()["id"]
        (claimed,) = claim(api.engine).values()
        yield one
        record_reply(api.engine, claimed, reply, ask_after=LATER)

    return case


def created(_api: Api, book: Book) -> Iterator[str]:
    yield book.accepted("c1")
    book.tell("created", "c1")


def failed(_api: Api, book: Book) -> Iterator[str]:
    yield book.accepted("c1")
    book.tell("failed", "c1", mrn="987654321")


def created_after_all(_api: Api, book: Book) -> Iterator[str]:
    yield book.accepted("c1")
    book.tell("failed", "c1")
    book.tell("created", "c1")


def a_conflict(_api: Api, book: Book) -> Iterator[str]:
    one = book.accepted("c1")
    book.tell("created", "c1")
    yield one
    book.tell("failed", "c1")


def corrected(api: Api, book: Book) -> Iterator[str]:
    one = book.failed()
    yield one
    assert api.call("PATCH", f"{URL}/{one}", json={"type": "follow_up"}).status_code == 202


def resubmitted(api: Api, book: Book) -> Iterator[str]:
    one = book.failed()
    yield one
    assert api.post({}, f"{URL}/{one}/resubmit").status_code == 202


def candidates_found(api: Api, book: Book) -> Iterator[str]:
    one = book.answered(cobalt.Unclear("ReadTimeout"), mrn="123450000")
    for number in (1, 2):
        book.tell("failed", f"unknown_{number}", mrn="123450000")
    yield one
    asked = question(api, one)
    assert adopt(api.engine, asked, [], zone=None, ask_after=LATER) == "candidates"


def abandoned_with_candidates(api: Api, book: Book) -> Iterator[str]:
    case = candidates_found(api, book)
    one = next(case)
    assert next(case, None) is None
    yield one
    abandon_by_hand(api.engine, one, person=Person("somebody"))


def adopted(api: Api, book: Book) -> Iterator[str]:
    one = book.answered(cobalt.Unclear("ReadTimeout"))
    yield one
    adopt_by_hand(api.engine, one, "c1", person=Person("somebody"), ask_after=LATER)


def given_up(api: Api, book: Book) -> Iterator[str]:
    one = book.answered(cobalt.Unclear("ReadTimeout"))
    asked = question(api, one)
    yield one
    assert give_up(api.engine, asked)


@pytest.mark.parametrize(
    "case",
    [
        claimed,
        the_worker_lost,
        answered(cobalt.Accepted("c1", "job_1", datetime.now(UTC))),
        answered(cobalt.NeverLeft("ConnectError")),
        answered(cobalt.Throttled(LATER)),
        answered(cobalt.Rejected(400, "No such location", datetime.now(UTC))),
        answered(cobalt.Unclear("ReadTimeout")),
        created,
        failed,
        created_after_all,
        a_conflict,
        corrected,
        resubmitted,
        candidates_found,
        abandoned_with_candidates,
        adopted,
        given_up,
    ],
)
def test_every_change_that_shows_moves_the_version_the_time_and_the_tag(
    api: Api, book: Book, case: Callable[[Api, Book], Iterator[str]]
) -> None:
    history = case(api, book)
    one = next(history)
    before = api.get(f"{URL}/{one}")
    assert next(history, None) is None
    after = api.get(f"{URL}/{one}")
    assert {**before.json, "version": 0, "updated_at": ""} != {**after.json, "version": 0, "updated_at": ""}
    assert after.json["version"] > before.json["version"]
    assert after.json["updated_at"] > before.json["updated_at"]
    assert after.headers["ETag"] != before.headers["ETag"]


def test_asking_cobalt_again_shows_nothing_and_changes_no_tag(api: Api, book: Book) -> None:
    one = book.accepted("c1")
    before = etag(api, one)
    assert question(api, one).appointment_id == one
    assert etag(api, one) == before


def test_one_is_as_its_schema_says_in_every_state(api: Api, book: Book) -> None:
    answers = [
        api.read(f"{URL}/{one}", scopes=scopes)
        for one in (book.created(), book.failed(), book.accepted("c1"), book.answered(cobalt.Unclear("ReadTimeout")))
        for scopes in (("read",), ("read", "phi"))
    ]
    for answer in [*answers, book.queued()]:
        assert AppointmentOut().validate(answer) == {}
        assert list(answer) == list(AppointmentOut().fields)
