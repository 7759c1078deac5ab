"""The rule of an account's health: every pair is declared, and what each does to the time of the next try."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from service.domain.account_health import (
    REMEDIES,
    TRANSITIONS,
    Cause,
    Evidence,
    Health,
    Reason,
    Standing,
    judge,
    read_event,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ANSWERED = Evidence(Cause.ANSWERED)
ASKED = Evidence(Cause.ANSWERED, of_a_question=True)
REFUSED = Evidence(Cause.REFUSED, Reason.LOGIN_REQUIRED)
TOLD = Evidence(Cause.TOLD, Reason.LOGIN_REQUIRED)
BUSY = Evidence(Cause.SLOWED, Reason.TOO_MANY_REQUESTS, wait=timedelta(seconds=7))
BROKEN = Evidence(Cause.SLOWED, Reason.COBALT_ERROR)
HOLD = Evidence(Cause.HOLD, Reason.HELD_BY_A_PERSON)
RESUME = Evidence(Cause.RESUME, Reason.RESUMED)
RELINKED = Evidence(Cause.RELINKED)
WARNED = Evidence(Cause.WARNED, Reason.PASSWORD_CHANGE_DUE)


def after(*told: Evidence, standing: Standing | None = None, now: datetime = NOON) -> Standing:
    standing = standing or Standing()
    for one in told:
        standing = judge(standing, one, now=now, interval=MINUTE)
    return standing


def test_every_pair_is_declared() -> None:
    assert set(TRANSITIONS) == set(itertools.product(Health, Cause))


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Reason)


def test_a_person_alone_ends_a_hold() -> None:
    ends = {cause for cause in Cause if TRANSITIONS[Health.HELD, cause] is not Health.HELD}
    assert ends == {Cause.RESUME}


@pytest.mark.parametrize("start", [Health.PAUSED, Health.LOGIN_REQUIRED])
def test_nothing_but_an_answer_makes_an_account_healthy_again(start: Health) -> None:
    heals = {cause for cause in Cause if TRANSITIONS[start, cause] is Health.HEALTHY}
    assert heals == {Cause.ANSWERED}


def test_a_refused_account_is_tried_after_the_interval() -> None:
    found = after(REFUSED)
    assert found == Standing(Health.LOGIN_REQUIRED, Reason.LOGIN_REQUIRED, NOON, NOON + MINUTE, 0, 1)


def test_a_try_that_is_refused_puts_the_next_one_off_and_changes_nothing_else() -> None:
    later = NOON + MINUTE
    found = after(REFUSED, standing=after(REFUSED), now=later)
    assert found == Standing(Health.LOGIN_REQUIRED, Reason.LOGIN_REQUIRED, NOON, later + MINUTE, 0, 1)


def test_an_account_of_which_an_event_says_so_is_tried_at_once_however_often_it_is_told() -> None:
    assert after(TOLD).probe_at == NOON
    assert after(TOLD, REFUSED, TOLD).probe_at == NOON + MINUTE


def test_what_an_event_says_of_the_password_is_not_forgotten_for_a_plainer_refusal() -> None:
    expired = Evidence(Cause.TOLD, Reason.PASSWORD_EXPIRED)
    assert after(expired, REFUSED).reason is Reason.PASSWORD_EXPIRED
    assert after(REFUSED, expired).reason is Reason.PASSWORD_EXPIRED


def test_an_account_that_is_answered_is_healthy_and_what_was_begun_before_says_nothing_any_more() -> None:
    found = after(REFUSED, ANSWERED)
    assert found == Standing(Health.HEALTHY, None, NOON, None, 0, 2)


def test_cobalt_says_how_long_a_pause_is() -> None:
    assert after(BUSY).probe_at == NOON + timedelta(seconds=7)


def test_the_pauses_after_errors_double_up_to_the_interval() -> None:
    waits = []
    standing = Standing()
    for _ in range(9):
        standing = after(BROKEN, standing=standing)
        assert standing.probe_at
        waits.append((standing.probe_at - NOON).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_question_that_is_answered_does_not_make_the_pauses_short_again() -> None:
    seems_well = after(BROKEN, BROKEN, ASKED)
    assert (seems_well.health, seems_well.awaits_an_answer) == (Health.HEALTHY, True)
    assert after(BROKEN, standing=seems_well).probe_at == NOON + timedelta(seconds=4)
    assert not after(ANSWERED, standing=seems_well).awaits_an_answer


def test_a_login_that_does_not_work_is_not_mended_by_a_slow_cobalt() -> None:
    assert after(REFUSED, BUSY).probe_at == NOON + MINUTE
    assert after(REFUSED, BUSY).reason is Reason.LOGIN_REQUIRED


@pytest.mark.parametrize("by_a_person", [RELINKED, RESUME], ids=["relinked", "resumed"])
def test_a_person_has_a_refused_account_tried_at_once(by_a_person: Evidence) -> None:
    found = after(REFUSED, by_a_person)
    assert (found.health, found.reason, found.probe_at) == (Health.LOGIN_REQUIRED, Reason.LOGIN_REQUIRED, NOON)
    assert found.version > after(REFUSED).version


def test_a_hold_that_ends_lets_one_call_try() -> None:
    found = after(HOLD, REFUSED, ANSWERED, BUSY, TOLD)
    assert (found.health, found.reason, found.probe_at) == (Health.HELD, Reason.HELD_BY_A_PERSON, None)
    resumed = after(RESUME, standing=found)
    assert (resumed.health, resumed.reason, resumed.probe_at) == (Health.PAUSED, Reason.RESUMED, NOON)


def test_a_warning_leaves_an_account_healthy_until_somebody_does_something() -> None:
    warned = after(WARNED, ANSWERED)
    assert (warned.health, warned.reason) == (Health.HEALTHY, Reason.PASSWORD_CHANGE_DUE)
    assert after(RELINKED, standing=warned).reason is None
    assert after(REFUSED, WARNED).reason is Reason.LOGIN_REQUIRED
    assert after(REFUSED, ANSWERED, standing=warned).reason is None


def test_only_after_an_error_nothing_is_booked_to_try() -> None:
    assert [after(one).is_tried_by_asking for one in (BUSY, REFUSED, BROKEN)] == [False, False, True]


@pytest.mark.parametrize(
    ("event_type", "data", "read"),
    [
        ("access_token.login_required", {"message": "Jane Doe"}, TOLD),
        (
            "access_token.login_required",
            {"error_type": "password_expired"},
            Evidence(Cause.TOLD, Reason.PASSWORD_EXPIRED),
        ),
        ("access_token.login_required", {"error_type": ["?"]}, TOLD),
        ("access_token.login_required", "?", TOLD),
        ("access_token.password_change_warning", {}, WARNED),
        ("access_token.created", {}, None),
        ("appointment.created", {}, None),
    ],
)
def test_events_about_accounts_are_read_by_their_codes_alone(
    event_type: str, data: object, read: Evidence | None
) -> None:
    assert read_event(event_type, {"data": data}) == read
