"""The rule: every pair of its table, and that no order of delivery can change where an appointment ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.states import (
    EVER,
    RULE,
    Disposition,
    Ruling,
    Said,
    Standing,
    Status,
    Verdict,
    accept_attempt,
    begin_attempt,
    judge,
    refuse,
)

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def at(minutes: float, event_id: str = "evt") -> Ruling:
    return Ruling(NOON + timedelta(minutes=minutes), event_id)


def standing(status: Status, *, since: datetime | None = NOON) -> Standing:
    ruling = None if status is Status.PROCESSING else at(10, "ruling")
    return Standing(status, 2, since, ruling, 1 if status is Status.FAILED else 0)


# status, what is said and when -> the status afterwards, the event's disposition, what it displaced
PAIRS = [
    (Status.PROCESSING, Status.CREATED, 5, Status.CREATED, Disposition.APPLIED, None),
    (Status.PROCESSING, Status.FAILED, 5, Status.FAILED, Disposition.APPLIED, None),
    (Status.PROCESSING, Status.FAILED, 0, Status.FAILED, Disposition.APPLIED, None),
    (Status.PROCESSING, Status.FAILED, -1, Status.PROCESSING, Disposition.SUPERSEDED, None),
    (Status.PROCESSING, Status.CREATED, -1, Status.CREATED, Disposition.APPLIED, None),
    (Status.FAILED, Status.CREATED, 5, Status.CREATED, Disposition.APPLIED, "ruling"),
    (Status.FAILED, Status.CREATED, -1, Status.CREATED, Disposition.APPLIED, "ruling"),
    (Status.FAILED, Status.FAILED, 15, Status.FAILED, Disposition.APPLIED, "ruling"),
    (Status.FAILED, Status.FAILED, 5, Status.FAILED, Disposition.SUPERSEDED, None),
    (Status.FAILED, Status.FAILED, -1, Status.FAILED, Disposition.SUPERSEDED, None),
    (Status.CREATED, Status.CREATED, 15, Status.CREATED, Disposition.SUPERSEDED, None),
    (Status.CREATED, Status.CREATED, 5, Status.CREATED, Disposition.APPLIED, "ruling"),
    (Status.CREATED, Status.FAILED, 15, Status.CREATED, Disposition.SUPERSEDED, None),
    (Status.CREATED, Status.FAILED, -1, Status.CREATED, Disposition.SUPERSEDED, None),
]


@pytest.mark.parametrize(("before", "says", "minutes", "after", "disposition", "displaced"), PAIRS)
def test_every_pair_of_status_and_event_ends_as_declared(
    before: Status, says: Status, minutes: float, after: Status, disposition: Disposition, displaced: str | None
) -> None:
    decision = judge(standing(before), says, at(minutes))
    assert (decision.standing.status, decision.disposition, decision.superseded) == (after, disposition, displaced)


@pytest.mark.parametrize("status", Status)
def test_a_failure_waits_while_nobody_knows_when_its_attempt_began(status: Status) -> None:
    pending = standing(status, since=None)
    decision = judge(pending, Status.FAILED, at(0))
    assert (decision.standing, decision.disposition) == (pending, Disposition.UNMATCHED)


def test_the_table_answers_every_status_and_saying() -> None:
    assert set(RULE) == {(status, said) for status in Status for said in Said}
    assert all(isinstance(verdict, Verdict) for verdict in RULE.values())


def test_two_failures_of_the_same_second_are_told_apart_by_their_ids() -> None:
    one = judge(judge(standing(Status.PROCESSING), Status.FAILED, at(1, "a")).standing, Status.FAILED, at(1, "b"))
    two = judge(judge(standing(Status.PROCESSING), Status.FAILED, at(1, "b")).standing, Status.FAILED, at(1, "a"))
    assert one.standing == two.standing
    assert one.standing.ruling == at(1, "b")


@pytest.mark.parametrize("failed_first", [True, False])
def test_a_failure_beside_a_success_is_counted_as_a_conflict(*, failed_first: bool) -> None:
    says = [(Status.FAILED, at(1, "f")), (Status.CREATED, at(2, "c"))]
    stands = Standing()
    for status, ruling in says if failed_first else reversed(says):
        stands = judge(stands, status, ruling).standing
    assert (stands.status, stands.conflicts) == (Status.CREATED, 1)


def test_a_failure_of_an_earlier_attempt_is_no_conflict() -> None:
    failed = judge(Standing(), Status.FAILED, at(0)).standing
    corrected = accept_attempt(begin_attempt(failed), NOON + timedelta(minutes=5))
    assert judge(corrected, Status.CREATED, at(6)).standing.conflicts == 0


def test_our_own_refusal_fails_only_what_processes() -> None:
    assert refuse(Standing(), NOON).status is Status.FAILED
    created = judge(Standing(), Status.CREATED, at(0)).standing
    assert refuse(created, NOON) == created


@dataclass(frozen=True)
class Event:
    says: Status
    round: int
    ruling: Ruling


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], int]:
    """Events of several attempts; the attempt k (from 0) lasts from minute 100k on, on Cobalt's clock."""
    rounds = draw(st.integers(1, 4))
    events = []
    for number in range(draw(st.integers(0, 10))):
        of = draw(st.integers(0, rounds - 1))
        minute = 100 * of + draw(st.integers(1, 4))  # few minutes, so that ties are common
        # Hardly ever created, or every history would end there.
        says = draw(st.sampled_from([Status.FAILED] * 4 + [Status.CREATED]))
        events.append(Event(says, of, at(minute, f"evt_{number:02}")))
    return events, rounds


def deliver(events: list[Event], rounds: int, order: st.DataObject) -> tuple[Standing, dict[str, Disposition]]:
    """Deliver events as they may come in reality, and again, and let a person correct in between.

    An event can come as late as it likes, but not before its attempt was asked for; whether it comes before
    Cobalt's reply to that correction is open. Duplicates are the door's matter: it judges an event once.
    """
    stands = Standing()
    dispositions: dict[str, Disposition] = {}
    waiting: list[Event] = []
    pending = list(events)
    asked, accepted = 0, 0

    def take(event: Event) -> None:
        nonlocal stands
        decision = judge(stands, event.says, event.ruling)
        stands = decision.standing
        dispositions[event.ruling.event_id] = decision.disposition
        if decision.superseded:
            dispositions[decision.superseded] = Disposition.SUPERSEDED
        if decision.disposition is Disposition.UNMATCHED:
            waiting.append(event)

    while pending or accepted < rounds - 1:
        steps: list[Event | str] = [event for event in pending if event.round <= asked]
        if asked == accepted and asked < rounds - 1:
            steps.append("ask")
        if accepted < asked:
            steps.append("accept")
        step = order.draw(st.sampled_from(steps))
        if isinstance(step, Event):
            pending.remove(step)
            take(step)
        elif step == "ask":
            asked += 1
            if stands.status is Status.CREATED:
                stands = Standing(stands.status, stands.attempt + 1, None, stands.ruling, 0)
            else:
                if stands.ruling:
                    dispositions[stands.ruling.event_id] = Disposition.SUPERSEDED
                stands = begin_attempt(stands)
        else:
            accepted += 1
            stands = accept_attempt(stands, NOON + timedelta(minutes=100 * accepted))
            again, waiting[:] = list(waiting), []
            for event in again:
                take(event)
    return stands, dispositions


@settings(max_examples=300)
@given(histories(), st.data())
def test_any_order_of_events_and_corrections_ends_in_the_same_place(
    history: tuple[list[Event], int], order: st.DataObject
) -> None:
    events, rounds = history
    stands, dispositions = deliver(events, rounds, order)

    created = [event.ruling for event in events if event.says is Status.CREATED]
    failed = [event.ruling for event in events if event.says is Status.FAILED and event.round == rounds - 1]
    if created:
        expected: tuple[Status, Ruling | None] = (Status.CREATED, min(created))
    elif failed:
        expected = (Status.FAILED, max(failed))
    else:
        expected = (Status.PROCESSING, None)
    assert (stands.status, stands.ruling) == expected
    assert stands.attempt == rounds
    assert stands.since == (EVER if rounds == 1 else NOON + timedelta(minutes=100 * (rounds - 1)))
    assert stands.conflicts == (len(failed) if created else 0)
    assert {event for event, became in dispositions.items() if became is Disposition.APPLIED} == (
        {stands.ruling.event_id} if stands.ruling else set()
    )
    assert Disposition.UNMATCHED not in dispositions.values()
