"""The rule: every pair of its table, and that no order of delivery can change where an appointment ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.states import (
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

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """An event; ``early`` when it is dated before the attempt of which it tells, by a clock that is behind."""

    says: Status
    round: int
    ruling: Ruling
    early: bool = False


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], int]:
    """Events of several attempts; the attempt k (from 0) lasts from minute 100k on, on Cobalt's clock."""
    rounds = draw(st.integers(1, 4))
    events = []
    for number in range(draw(st.integers(0, 10))):
        of = draw(st.integers(0, rounds - 1))
        # Hardly ever created, or every history would end there.
        says = draw(st.sampled_from([Status.FAILED] * 4 + [Status.CREATED]))
        early = bool(of) and says is Status.FAILED and draw(st.booleans())
        minute = 100 * of + draw(st.integers(1, 4)) * (-1 if early else 1)  # few minutes, so that ties are common
        events.append(Event(says, of, at(minute, f"evt_{number:02}"), early))
    return events, rounds


class Course:
    """Delivers events as they may come in reality, and again, and lets a person correct in between.

    An event can come as late as it likes, but not before its attempt was asked for; whether it comes before
    Cobalt's reply to that correction is open. One that is dated too early comes while its attempt is the current one,
    for when it came is all that tells it from those of the attempt before. At some time Cobalt is asked, and knows
    nothing. Duplicates are the door's matter: it judges an event once.
    """

    def __init__(self, events: list[Event], rounds: int) -> None:
        self.stands = Standing()
        self.dispositions: dict[str, Disposition] = {}
        self._events = events
        self._rounds = rounds
        self._waiting: list[Event] = []
        self._pending = list(events)
        self._asked = self._accepted = 0

    def run(self, order: st.DataObject) -> None:
        while steps := self._steps():
            step = order.draw(st.sampled_from(steps))
            if isinstance(step, Event):
                self._pending.remove(step)
                self._take(step)
            else:
                step()

    def _steps(self) -> list[Event | Callable[[], None]]:
        """What may come next; there is nothing when all has come."""
        steps: list[Event | Callable[[], None]] = [event for event in self._pending if event.round <= self._asked]
        if self._accepted < self._asked:
            steps.append(self._accept)
        elif self._asked < self._rounds - 1 and not any(
            event.early and event.round == self._asked for event in self._pending
        ):
            steps.append(self._ask)
        if self._early():
            steps.append(self._know_nothing)
        return steps

    def _take(self, event: Event) -> None:
        decision = judge(self.stands, event.says, event.ruling)
        self.stands = decision.standing
        self.dispositions[event.ruling.event_id] = decision.disposition
        if decision.superseded:
            self.dispositions[decision.superseded] = Disposition.SUPERSEDED
        if decision.disposition is Disposition.UNMATCHED:
            self._waiting.append(event)

    def _ask(self) -> None:
        self._asked += 1
        if self.stands.status is Status.CREATED:
            self.stands = Standing(self.stands.status, self.stands.attempt + 1, None, self.stands.ruling, 0)
            return
        if self.stands.ruling:
            self.dispositions[self.stands.ruling.event_id] = Disposition.SUPERSEDED
        self.stands = begin_attempt(self.stands)

    def _accept(self) -> None:
        self._accepted += 1
        self.stands = accept_attempt(self.stands, NOON + timedelta(minutes=100 * self._accepted))
        again, self._waiting = self._waiting, []
        for event in again:
            self._take(event)

    def _early(self) -> list[Event]:
        """Which failures came for the current attempt, and do not count because of their dates."""
        if self.stands.status is not Status.PROCESSING:
            return []
        return [
            event
            for event in self._events
            if event.early
            and event.round == self._asked
            and self.dispositions.get(event.ruling.event_id) is Disposition.SUPERSEDED
        ]

    def _know_nothing(self) -> None:
        early = self._early()
        self.stands = accept_attempt(self.stands, min(event.ruling.occurred_at for event in early))
        for event in early:
            self._take(event)


@settings(max_examples=300)
@given(histories(), st.data())
def test_any_order_of_events_and_corrections_ends_in_the_same_place(
    history: tuple[list[Event], int], order: st.DataObject
) -> None:
    events, rounds = history
    course = Course(events, rounds)
    course.run(order)
    stands, dispositions = course.stands, course.dispositions

    created = [event.ruling for event in events if event.says is Status.CREATED]
    last = [event for event in events if event.says is Status.FAILED and event.round == rounds - 1]
    failed = [event.ruling for event in last if not event.early]
    early = [event.ruling for event in last if event.early]
    if created:
        expected: tuple[Status, Ruling | None] = (Status.CREATED, min(created))
    elif failed or early:
        expected = (Status.FAILED, max(failed or early))
    else:
        expected = (Status.PROCESSING, None)
    assert (stands.status, stands.ruling) == expected
    assert stands.attempt == rounds
    began = EVER if rounds == 1 else NOON + timedelta(minutes=100 * (rounds - 1))
    assert stands.since in {began, *(ruling.occurred_at for ruling in early)}
    assert stands.conflicts == (stands.failures if created else 0)
    most = 0 if stands.since == began else len(early)  # those that came when nothing else did
    assert len(failed) <= stands.failures <= len(failed) + most
    assert {event for event, became in dispositions.items() if became is Disposition.APPLIED} == (
        {stands.ruling.event_id} if stands.ruling else set()
    )
    assert Disposition.UNMATCHED not in dispositions.values()
