"""How many requests of a key are let in."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from service.web.policy.limits import WINDOW, Limits


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(limits: Limits, key: str = "key_1") -> bool:
    left = limits.admit(key)
    if left.place:
        left.place.release()
    return left.retry_after is None


def test_as_many_as_the_limit_are_let_in_at_once_and_then_one_each_so_many_seconds() -> None:
    clock = Clock()
    limits = Limits(6, 0, clock)
    assert [admitted(limits) for _ in range(8)] == [True] * 6 + [False] * 2
    clock.now += 9.9
    assert not admitted(limits)
    clock.now += 0.2
    assert [admitted(limits) for _ in range(2)] == [True, False]
    clock.now += 3600
    assert [admitted(limits) for _ in range(7)] == [True] * 6 + [False]


def test_who_is_refused_is_told_when_to_come_back_and_is_let_in_then() -> None:
    clock = Clock()
    limits = Limits(7, 0, clock)
    while admitted(limits):
        pass
    left = limits.admit("key_1")
    assert (left.limit, left.remaining, left.reset, left.retry_after) == (7, 0, 60, 9)
    clock.now += 9
    assert admitted(limits)


def test_what_is_left_is_told() -> None:
    clock = Clock()
    limits = Limits(60, 0, clock)
    told = [limits.admit("key_1") for _ in range(3)]
    assert [(left.remaining, left.reset) for left in told] == [(59, 1), (58, 2), (57, 3)]
    clock.now += 1.5
    left = limits.admit("key_1")
    assert (left.remaining, left.reset) == (57, 3)


def test_one_key_does_not_use_up_anothers() -> None:
    limits = Limits(1, 1, Clock())
    assert admitted(limits, "key_1")
    assert not admitted(limits, "key_1")
    assert admitted(limits, "key_2")


def test_no_limit_is_none() -> None:
    limits = Limits(0, 0, Clock())
    lefts = [limits.admit("key_1") for _ in range(10_000)]
    assert {(left.limit, left.retry_after) for left in lefts} == {(0, None)}


def test_a_place_in_flight_is_free_again_once_however_often_it_is_left() -> None:
    limits = Limits(0, 2, Clock())
    first, second, third = (limits.admit("key_1") for _ in range(3))
    assert first.place
    assert second.place
    assert (third.place, third.retry_after) == (None, 1)
    first.place.release()
    first.place.release()
    assert limits.in_flight("key_1") == 1
    fourth = limits.admit("key_1")
    assert fourth.place
    assert limits.admit("key_1").place is None


def test_a_request_that_only_the_places_keep_out_counts_too() -> None:
    limits = Limits(2, 1, Clock())
    assert limits.admit("key_1").place
    assert limits.admit("key_1").retry_after == 1
    assert limits.admit("key_1").retry_after == 30


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=200))
def test_in_no_stretch_of_time_are_more_let_in_than_the_limit_and_its_share(rate: int, waits: list[float]) -> None:
    clock = Clock()
    limits = Limits(rate, 0, clock)
    times = []
    for wait in waits:
        clock.now += wait
        if admitted(limits):
            times.append(clock.now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= rate + (times[last] - times[first]) * rate / WINDOW + 1e-6


def test_threads_lose_no_place() -> None:
    limits = Limits(0, 5, Clock())
    most = []
    lock = threading.Lock()

    def work(_: int) -> None:
        left = limits.admit("key_1")
        if left.place:
            with lock:
                most.append(limits.in_flight("key_1"))
            left.place.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(2000)))
    assert limits.in_flight("key_1") == 0
    assert max(most) <= 5
