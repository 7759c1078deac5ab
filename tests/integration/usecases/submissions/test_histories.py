"""Every cause in every state, and any history of them, at PostgreSQL: a submission goes where the table says."""

from __future__ import annotations

import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.cobalt import NeverLeft, Rejected, Throttled, Unauthorized, Unclear
from service.domain.submission import TRANSITIONS, WITH_COBALT, CallOutcome, Cause, Submission
from service.errors import ConflictError
from service.postgres.engine import transaction
from service.postgres.queries import asking
from service.postgres.queries.decisions import Person
from service.usecases.events.early_failures import take_early_failures
from service.usecases.submissions.adopt import abandon_by_hand, adopt_by_hand
from tests.records import (
    SETTINGS,
    accepted,
    answer,
    ask,
    begin_correction,
    claim,
    created,
    deliver,
    expire_now,
    failed,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.cobalt import Reply
    from service.postgres.queries.asking import Question
    from service.postgres.queries.submissions import Claim

SOMEBODY = Person("somebody")
NOT_TAKEN = {CallOutcome.NEVER_LEFT, CallOutcome.THROTTLED, CallOutcome.UNAUTHORIZED}
REPLIES = {
    Cause.TAKEN: (None,),  # under the appointment's own id
    Cause.NEVER_LEFT: (NeverLeft("ConnectError"), Throttled(timedelta(0)), Unauthorized(401)),
    Cause.REFUSED: (Rejected(422, "no", datetime.now(UTC)),),
    Cause.UNCLEAR: (Unclear("ReadTimeout"),),
}
WAY: dict[Submission, Cause | None] = {
    Submission.QUEUED: Cause.NEVER_LEFT,
    Submission.SENDING: None,
    Submission.ACCEPTED: Cause.TAKEN,
    Submission.UNCONFIRMED: Cause.UNCLEAR,
    Submission.REJECTED: Cause.REFUSED,
}
"""State -> what a call has to come to, so that a submission is in it."""
_numbers = itertools.count(1)


class Subject:
    """An appointment, the calls that were made for it, and everybody who has to do with it."""

    def __init__(self, engine: Engine, *, corrected: bool) -> None:
        number = next(_numbers)
        self.engine = engine
        self.cobalt_id = f"cobalt_{number}"
        self.id = ask(engine, mrn=f"mrn_{number}")
        self.calls: list[Claim] = []
        self.unanswered: list[Claim] = []
        self.questions: list[Question] = []
        if corrected:
            self.take(Cause.CLAIMED)
            self.take(Cause.TAKEN)
            self.tell("failed")
            self.take(Cause.ASKED)

    def row(self) -> dict[str, Any]:
        with transaction(self.engine) as session:
            found = session.execute(text("SELECT * FROM appointments WHERE id = :id"), {"id": self.id})
            return dict(found.mappings().one())

    def at(self) -> Submission:
        return Submission(self.row()["submission"])

    def take(self, cause: Cause, reply: Reply | None = None, call: Claim | None = None) -> None:
        """Have it happen, as it does in production; what is refused is refused."""
        with suppress(ConflictError):
            match cause:
                case Cause.CLAIMED:
                    self._claim()
                case Cause.TAKEN | Cause.NEVER_LEFT | Cause.REFUSED | Cause.UNCLEAR:
                    reply = reply or REPLIES[cause][0] or accepted(self.cobalt_id)
                    answer(self.engine, call or self.calls[-1], reply)
                case Cause.LOST:
                    expire_now(self.engine)
                case Cause.FOUND:
                    adopt_by_hand(
                        self.engine, self.id, self.cobalt_id, person=SOMEBODY, ask_after=SETTINGS.overdue_after
                    )
                case Cause.BOOKED:
                    self.tell("created")
                case Cause.ASKED:
                    begin_correction(self.engine, self.id)

    def tell(self, kind: str, *, lately: bool = False) -> None:
        """Have an event come, dated now or a year ago."""
        event_id = f"evt_{next(_numbers)}"
        minutes = (datetime.now(UTC) - datetime(2025, 1, 1, 12, tzinfo=UTC)) / timedelta(minutes=1) if lately else 1
        write = created if kind == "created" else failed
        deliver(self.engine, write(event_id, self.cobalt_id, minutes))

    def abandon(self) -> None:
        """Have a person give it up, if it can be."""
        with suppress(ConflictError):
            abandon_by_hand(self.engine, self.id, person=SOMEBODY)

    def note_question(self) -> None:
        """Claim it for asking Cobalt, if it can be."""
        with transaction(self.engine) as session:
            found = asking.open_questions(session, since=datetime(2025, 1, 1, tzinfo=UTC))
        self.questions += [question for question in found if question.appointment_id == self.id]

    def made(self) -> list[tuple[int, int, str | None]]:
        """Read the calls that were made: attempt, try, outcome."""
        query = "SELECT attempt, try AS try_, outcome FROM submissions WHERE appointment_id = :id ORDER BY attempt, try"
        with transaction(self.engine) as session:
            return [
                (attempt, number, outcome) for attempt, number, outcome in session.execute(text(query), {"id": self.id})
            ]

    def _claim(self) -> None:
        with transaction(self.engine) as session:
            due = "UPDATE appointments SET due_at = now() - interval '1 second' WHERE id = :id"
            session.execute(text(due), {"id": self.id})
        call = claim(self.engine).get(self.id)
        if call:
            self.calls.append(call)
            self.unanswered.append(call)


@pytest.mark.parametrize("corrected", [False, True], ids=["a create", "a correction"])
def test_every_cause_takes_it_from_every_state_to_where_the_table_says(engine: Engine, *, corrected: bool) -> None:
    # No event can name what has no id yet, and nobody looks for an id that is known.
    impossible = Cause.FOUND if corrected else Cause.BOOKED
    for state, cause in itertools.product(Submission, Cause):
        subject = Subject(engine, corrected=corrected)
        subject.take(Cause.CLAIMED)
        way = WAY[state]
        if way:
            subject.take(way)
        if cause is Cause.ASKED:  # only of what has failed
            subject.tell("failed", lately=True)
            subject.abandon()
        assert subject.at() is state

        subject.take(cause)

        expected = state if cause is impossible else TRANSITIONS.get((state, cause), state)
        assert (state, cause, subject.at()) == (state, cause, expected)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corrected=st.sampled_from([True, True, False]), data=st.data())
def test_any_history_keeps_to_the_table_and_leaves_nothing_behind(
    engine: Engine, *, corrected: bool, data: st.DataObject
) -> None:
    subject = Subject(engine, corrected=corrected)
    for _ in range(data.draw(st.integers(1, 15), label="steps")):
        step(subject, data)
    if subject.row()["status"] == "failed":
        begin_correction(engine, subject.id)  # nothing that has failed is out of a person's reach


def may_come(subject: Subject, row: dict[str, Any]) -> list[Cause | str]:
    """List what the next thing may be, mostly such as will do something: else histories hardly get anywhere."""
    state = Submission(row["submission"])
    found: list[Cause | str] = [
        cause for cause in Cause if (state, cause) in TRANSITIONS and cause is not Cause.ASKED and cause not in REPLIES
    ]
    if subject.unanswered:
        found += REPLIES
    if subject.calls:
        found += ["a failure", "a late failure", Cause.BOOKED, Cause.FOUND, Cause.LOST]
    if state in WITH_COBALT:
        found += ["given up", "asked about"]
    if subject.questions:
        found.append("an early failure")
    return [*found, Cause.ASKED, Cause.ASKED] if row["status"] == "failed" else found


def step(subject: Subject, data: st.DataObject) -> None:
    """Have one thing happen, and look at what it did."""
    before = subject.row()
    what = data.draw(st.sampled_from(may_come(subject, before)), label="what")
    match what:
        case Cause() if what in REPLIES:
            call = data.draw(st.sampled_from(subject.unanswered))  # there is one reply to each
            subject.unanswered.remove(call)
            subject.take(what, data.draw(st.sampled_from(REPLIES[what])), call)
        case Cause():
            subject.take(what)
        case "a failure" | "a late failure":
            subject.tell("failed", lately=what == "a late failure")
        case "given up":
            subject.abandon()
        case "asked about":
            subject.note_question()
        case _:
            for question in subject.questions:
                take_early_failures(subject.engine, question)
    after = subject.row()
    assert is_declared(before, what, after["submission"])
    assert after["status"] == "processing" or after["submission"] != Submission.QUEUED
    assert before["status"] != "created" or after["status"] == "created"
    with transaction(subject.engine) as session:
        assert asking.find_overlooked(session) == []
    for (attempt, _, outcome), (next_attempt, _, _) in itertools.pairwise(subject.made()):
        assert attempt != next_attempt or outcome in NOT_TAKEN, "sent a second time although Cobalt may have it"


def is_declared(before: dict[str, Any], what: Cause | str, after: str) -> bool:
    """Tell whether the table has a way from one state to the other by this cause."""
    state = Submission(before["submission"])
    if after == state:
        return True
    if not isinstance(what, Cause) or (state, what) not in TRANSITIONS:
        return False
    declared = TRANSITIONS[state, what]
    booked = TRANSITIONS.get((declared, Cause.BOOKED)) if before["status"] == "created" else None
    return after == (booked or declared)
