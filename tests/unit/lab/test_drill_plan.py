"""What a drill does is decided by its seed and by what was asked for."""

from __future__ import annotations

import itertools

import pytest

from service.lab.drill import blackout
from service.lab.drill.callers import request_body
from service.lab.drill.plan import OUTAGES, make_plan, read_faults, schedule


def test_the_same_seed_makes_the_same_drill() -> None:
    assert schedule(make_plan(seed=7)) == schedule(make_plan(seed=7))
    assert schedule(make_plan(seed=7)) != schedule(make_plan(seed=8))
    assert request_body(7, 1) == request_body(7, 1)


def test_every_outage_strikes_as_often_as_asked_within_the_time() -> None:
    plan = make_plan(seed=1)
    windows = schedule(plan)
    assert {fault: sum(window.fault == fault for window in windows) for fault in OUTAGES} == dict(OUTAGES)
    assert all(0 <= window.at < plan.seconds for window in windows)


@pytest.mark.parametrize("seed", range(20))
def test_postgresql_is_back_before_it_goes_away_again(seed: int) -> None:
    away = [window for window in schedule(make_plan(seed=seed)) if window.fault.startswith("postgres")]
    assert all(one.at + one.seconds < following.at for one, following in itertools.pairwise(away))


@pytest.mark.parametrize("seed", range(20))
def test_a_full_disk_falls_into_an_outage_of_postgresql(seed: int) -> None:
    windows = schedule(make_plan(seed=seed))
    away = [window for window in windows if window.fault.startswith("postgres")]
    for full in (window for window in windows if window.fault == "disk-full"):
        assert any(one.at < full.at < full.at + full.seconds < one.at + one.seconds for one in away)


def test_faults_are_chosen_by_name_and_can_have_a_number() -> None:
    assert read_faults("none", short=True) == {}
    assert read_faults("web-kill, lost-replies=0.3", short=True) == {"web-kill": 1, "lost-replies": 0.3}
    assert "worker-kill" in read_faults("all", short=False)


@pytest.mark.parametrize("text", ["earthquake", "lost-replies=2", "web-kill=often"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the message is for people
        read_faults(text, short=True)


def test_a_blackout_has_its_own_faults_and_no_other_outages() -> None:
    plan = make_plan(seed=1, blackout=True)
    windows = schedule(plan)
    assert [window.fault for window in windows] == ["workers-stopped", "list-down"]
    assert windows[0].at + windows[0].seconds < windows[1].at
    assert plan.faults["lost-webhooks"] == 0.5
    assert plan.delay < plan.seconds / 24


def test_a_blackout_scales_the_intervals_and_none_below_the_loops() -> None:
    assert blackout.interval("SWEEP_INTERVAL", blackout.DAY) == 600
    assert blackout.interval("SWEEP_INTERVAL", 144) == 1
    assert blackout.interval("ASK_INTERVAL", 144) == blackout.SHORTEST


def test_no_two_requests_are_for_the_same_patient() -> None:
    assert len({request_body(1, number)["mrn"] for number in range(1, 1001)}) == 1000
