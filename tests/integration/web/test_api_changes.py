"""The feed of changes over HTTP."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.postgres.engine import transaction
from service.web.policy.cursors import Cursors
from service.web.views.changes import read_cursor, write_cursor
from tests.records import wait_for_the_others

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from tests.integration.web.conftest import Answer, Api, Book

URL = "/v1/changes"
CURSORS = Cursors("cs_integration")


@pytest.fixture
def feed(api: Api) -> Callable[..., Any]:
    """Reads the feed when nothing of what was written before is open any more."""

    def read(query: str = "", **rest: Any) -> Any:  # noqa: ANN401 (JSON)
        wait_for_the_others(api.engine)
        return api.read(URL + query, **rest)

    return read


def ids(shown: dict[str, Any]) -> list[str]:
    return [one["id"] for one in shown["data"]]


def assert_refused(answer: Answer) -> None:
    assert answer.status_code == 400, answer.text
    assert answer.content_type == "application/problem+json"
    assert [error["pointer"] for error in answer.json["errors"]] == ["/query/after"]


def test_an_answer_leads_to_the_next_and_the_last_one_too(api: Api, book: Book, feed: Callable[..., Any]) -> None:
    some = [book.queued()["id"] for _ in range(3)]
    first = feed("?limit=2")
    assert (ids(first), first["more"]) == (some[:2], True)
    assert api.get(f"{URL}?limit=2").headers["Link"] == f'<{URL}?after={first["next_cursor"]}&limit=2>; rel="next"'
    second = feed(f"?limit=2&after={first['next_cursor']}")
    assert (ids(second), second["more"]) == (some[2:], False)
    third = feed(f"?after={second['next_cursor']}")
    assert (ids(third), third["more"], third["next_cursor"]) == ([], False, second["next_cursor"])

    changed = book.queued()["id"]
    assert ids(feed(f"?after={third['next_cursor']}")) == [changed]


def test_an_empty_feed_has_a_cursor_too(book: Book, feed: Callable[..., Any]) -> None:
    empty = feed()
    assert (empty["data"], empty["more"]) == ([], False)
    one = book.queued()["id"]
    assert ids(feed(f"?after={empty['next_cursor']}")) == [one]


def test_a_change_looks_like_the_appointment_everywhere_else(api: Api, book: Book, feed: Callable[..., Any]) -> None:
    one = book.failed("Patient MRN '123456789' not found in eCW.")
    for scopes in (("read",), ("read", "phi")):
        [shown] = feed(scopes=scopes)["data"]
        assert shown == api.read(f"/v1/appointments/{one}", scopes=scopes)
    assert "123456789" not in api.get(URL, scopes=("read",)).text


def test_who_begins_now_sees_only_what_changes_from_now_on(book: Book, feed: Callable[..., Any]) -> None:
    book.queued()
    now = feed("?after=now")
    assert (now["data"], now["more"]) == ([], False)
    one = book.queued()["id"]
    assert ids(feed(f"?after={now['next_cursor']}")) == [one]


def test_a_cursor_that_was_altered_is_refused(api: Api, book: Book, feed: Callable[..., Any]) -> None:
    book.queued()
    cursor = feed()["next_cursor"]
    for at in range(0, len(cursor) - 1, 5):
        other = "A" if cursor[at] != "A" else "B"
        assert_refused(api.get(f"{URL}?after={cursor[:at]}{other}{cursor[at + 1 :]}"))
    for wrong in (cursor[:-4], cursor + "AAAA", "x", "%C3%A9", "NOW", base64.urlsafe_b64encode(b"[]" * 9).decode()):
        assert_refused(api.get(f"{URL}?after={wrong}"))
    of_a_list = api.read("/v1/appointments?limit=1")["next_cursor"]
    assert of_a_list is None
    book.queued()
    assert_refused(api.get(f"{URL}?after={api.read('/v1/appointments?limit=1')['next_cursor']}"))


def test_a_cursor_of_a_database_that_is_no_more_is_gone_and_says_to_begin_anew(
    api: Api, book: Book, feed: Callable[..., Any]
) -> None:
    book.queued()
    strange = write_cursor(CURSORS, replace(read_cursor(CURSORS, feed()["next_cursor"]), database="1/1"))
    answer = api.get(f"{URL}?after={strange}")
    assert answer.status_code == 410
    assert "leave `after` out" in answer.json["detail"]


def test_a_restored_copy_says_that_it_is_not_ready_rather_than_hide_something(
    api: Api, book: Book, engine: Engine
) -> None:
    book.queued()
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET changed_in = changed_in + 1000000000"))
    for query in ("", "?after=now"):
        answer = api.get(f"{URL}{query}")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("limit=0", "/query/limit"), ("limit=201", "/query/limit"), ("afer=now", "/query/afer"), ("since=now", "/query")],
)
def test_a_question_that_cannot_be_answered_is_told_why(api: Api, query: str, pointer: str) -> None:
    answer = api.get(f"{URL}?{query}")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
