"""The walk over Cobalt's events: whatever shifts under it, nothing older than its end is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.domain import event_walk
from service.domain.event_walk import PAGE_SIZE, Page, walk

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
EVER = datetime(2000, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


class Listed:
    """Cobalt's list, newest first: at each call something may be added in front, or removed anywhere."""

    def __init__(self, number: int, changes: list[tuple[int, set[int]]], *, says_totals: bool = True) -> None:
        self.rows: list[Row] = [row(place) for place in range(number)]
        self.changes = changes
        self.says_totals = says_totals
        self.calls = 0

    def page(self, number: int) -> Page[Row]:
        self.calls += 1
        if self.calls > 1 and self.changes:
            added, removed = self.changes.pop(0)
            self.rows = [one for place, one in enumerate(self.rows) if place not in removed]
            self.rows = [row(-self.calls * 1000 - place) for place in range(added)][::-1] + self.rows
        shown = self.rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
        if not self.says_totals:
            return Page(shown)
        return Page(shown, -(-len(self.rows) // PAGE_SIZE), len(self.rows))


def row(place: int) -> Row:
    return {"place": place, "at": NOON - timedelta(seconds=place)}


def walked(listed: Listed, since: datetime = EVER) -> set[int]:
    return {one["place"] for rows in walk(listed.page, time_of=lambda one: one["at"], since=since) for one in rows}


@given(
    number=st.integers(0, 450),
    changes=st.lists(st.tuples(st.integers(0, 120), st.sets(st.integers(0, 450), max_size=130)), max_size=6),
)
def test_nothing_is_lost_that_was_there_all_the_time(number: int, changes: list[tuple[int, set[int]]]) -> None:
    listed = Listed(number, list(changes))
    seen = walked(listed)
    stayed = {one["place"] for one in listed.rows if one["place"] >= 0}
    assert stayed <= seen


@given(number=st.integers(0, 1000), new=st.integers(0, 400))
def test_it_costs_one_call_for_a_hundred_events_and_one_more(number: int, new: int) -> None:
    listed = Listed(number, [])
    seen = walked(listed, NOON - timedelta(seconds=new - 1))
    assert set(range(min(number, new))) <= seen
    assert listed.calls <= min(number, new) // PAGE_SIZE + 1


@given(number=st.integers(0, 450))
def test_without_totals_it_ends_with_a_page_that_is_not_full(number: int) -> None:
    listed = Listed(number, [], says_totals=False)
    assert walked(listed) == set(range(number))
    assert listed.calls == number // PAGE_SIZE + 1


@given(number=st.integers(0, 450))
def test_a_list_in_another_order_is_walked_to_its_end(number: int) -> None:
    listed = Listed(number, [])
    listed.rows.reverse()
    assert walked(listed, NOON - timedelta(seconds=5)) == set(range(number))


def test_a_list_without_times_is_walked_to_its_end() -> None:
    listed = Listed(250, [])
    seen = [one for rows in walk(listed.page, time_of=lambda _: None, since=NOON) for one in rows]
    assert len(seen) == 250


def test_a_list_without_an_end_is_left() -> None:
    pages = 0

    def endless(_number: int) -> Page[Row]:
        nonlocal pages
        pages += 1
        return Page([{}] * PAGE_SIZE)

    for _ in walk(endless, time_of=lambda _: None, since=NOON):
        pass
    assert pages == event_walk.MOST_PAGES
