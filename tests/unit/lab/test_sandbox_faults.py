"""Faults come at their rate, and under one seed they come to the same things."""

import pytest

from service.lab.sandbox.faults import RATES, Chance, Faults


def test_a_fault_strikes_about_as_often_as_its_rate_says() -> None:
    chance = Chance("seed", Faults(lose_webhook=0.3))
    struck = sum(chance.strikes("lose_webhook", n) for n in range(10_000))
    assert 2_800 < struck < 3_200


def test_the_seed_alone_decides_what_is_struck_whatever_else_was_drawn() -> None:
    faults = Faults(lose_webhook=0.5, lose_reply=0.5)
    one, other = Chance("seed", faults), Chance("seed", faults)
    for n in range(50):
        other.strikes("lose_reply", n)
    fates = [one.strikes("lose_webhook", n) for n in range(100)]
    assert fates == [other.strikes("lose_webhook", n) for n in range(100)]
    assert fates != [Chance("another", faults).strikes("lose_webhook", n) for n in range(100)]


@pytest.mark.parametrize(("rate", "struck"), [(0, False), (1, True)])
def test_never_and_always_are_exact(rate: float, struck: bool) -> None:  # noqa: FBT001
    chance = Chance("seed", Faults().changed(dict.fromkeys(RATES, rate)))
    assert all(chance.strikes(name, n) is struck for name in RATES for n in range(100))


def test_a_change_of_some_faults_leaves_the_others() -> None:
    assert Faults(lose_reply=0.5).changed({"delay": 2}) == Faults(lose_reply=0.5, delay=2)


@pytest.mark.parametrize(
    "wrong",
    [{"lose_reply": 1.1}, {"lose_reply": "1"}, {"lose_reply": True}, {"delay": float("nan")}, {"seed": 1}],
)
def test_a_change_that_makes_no_sense_is_refused(wrong: dict[object, object]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(wrong)))):
        Faults().changed(wrong)


def test_the_delay_varies_by_a_half_to_either_side() -> None:
    chance = Chance("seed", Faults(delay=2))
    delays = [chance.delay(n) for n in range(1_000)]
    assert 1 <= min(delays) < 1.1
    assert 2.9 < max(delays) < 3
