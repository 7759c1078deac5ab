"""Slots are shared so that no account, nor many of them, can leave nothing for the next."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.usecases.submissions.slots import Ramp, Slots


def take_all(slots: Slots, *accounts: str) -> Counter[str]:
    """Have accounts take whatever they can get, and keep it."""
    with slots.taking(dict.fromkeys(accounts, 1000)) as taken:
        got = taken.copy()
        taken.clear()
    return got


def test_an_account_alone_has_half_and_the_next_half_of_the_rest() -> None:
    slots = Slots(32)
    assert [take_all(slots, name)[name] for name in ("a", "b", "c", "d", "e", "f")] == [16, 8, 4, 2, 1, 1]


def test_accounts_that_come_together_have_equal_parts() -> None:
    assert take_all(Slots(32), "a", "b", "c") == {"a": 8, "b": 8, "c": 8}


def test_an_account_has_no_more_than_it_asked_for() -> None:
    with Slots(32).taking({"a": 3, "b": 0}) as taken:
        assert taken == {"a": 3}


def test_what_is_not_used_is_given_back_also_after_an_error() -> None:
    slots = Slots(8)

    def break_off() -> None:
        with slots.taking({"a": 4}) as taken:
            taken["a"] -= 1  # a call went with this one
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert slots.free == 7
    slots.give_back("a")
    assert take_all(slots, "a") == {"a": 4}


def test_the_only_slot_is_for_whoever_comes() -> None:
    assert take_all(Slots(1), "a") == {"a": 1}


def test_of_more_accounts_than_slots_each_has_its_turn() -> None:
    slots, names = Slots(3), list("abcdefgh")
    served: Counter[str] = Counter()
    for _ in names:
        got = take_all(slots, *names)
        served += got
        for account in got.elements():
            slots.give_back(account)
    assert served == dict.fromkeys(names, 3)


@given(st.integers(1, 64), st.lists(st.sampled_from("abcde"), max_size=40))
def test_no_account_ever_holds_more_than_were_free_when_it_took_its_last(number: int, steps: list[str]) -> None:
    slots, held = Slots(number), Counter[str]()
    for account in steps:
        got = take_all(slots, account)[account]
        held[account] += got
        assert slots.free == number - held.total() >= 0
        if got:
            assert held[account] <= slots.free + 1
        elif slots.free:
            assert held[account] >= slots.free
        if held[account] > 2:
            slots.give_back(account)
            held[account] -= 1


def test_an_account_after_trouble_begins_with_one_call_and_has_one_more_after_each_answer() -> None:
    slots, ramp = Slots(32), Ramp(16)
    ramp.begin(["sick"])
    rounds: list[int] = []
    while len(rounds) < 6:
        with slots.taking(ramp.limit({"sick": 100, "well": 1}, slots)) as allowed:
            assert allowed["well"] == 1
            rounds.append(allowed["sick"])
            for _ in range(allowed["sick"]):
                ramp.widen("sick")
    assert rounds == [1, 2, 4, 8, 16, 16]


def test_calls_in_flight_count_while_an_account_recovers() -> None:
    slots, ramp = Slots(32), Ramp(16)
    ramp.begin(["sick"])
    ramp.widen("sick")
    with slots.taking(ramp.limit({"sick": 1}, slots)) as allowed:
        allowed["sick"] -= 1  # a call that goes on
    assert ramp.limit({"sick": 9}, slots) == {"sick": 1}
    ramp.begin(["sick"])
    assert ramp.limit({"sick": 9}, slots) == {}
