"""The rule of submissions: its table, and what no history of causes may come to."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.submission import CAUSES, FIRST, TRANSITIONS, CallOutcome, Cause, Submission, allows, follow

REPLIES = (Cause.TAKEN, Cause.NEVER_LEFT, Cause.REFUSED, Cause.UNCLEAR)
"""What the reply to a call may be."""


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("before", Submission)
def test_what_is_not_declared_is_refused(before: Submission, cause: Cause) -> None:
    if (before, cause) in TRANSITIONS:
        assert allows(before, cause)
        assert follow(before, cause) is TRANSITIONS[before, cause]
    else:
        assert not allows(before, cause)
        with pytest.raises(ValueError, match=f"{before} cannot be {cause}"):
            follow(before, cause)


def test_a_word_that_is_no_state_is_refused() -> None:
    with pytest.raises(ValueError, match="submitted"):
        follow("submitted", Cause.CLAIMED)


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_after_the_end_of_the_lease_makes_of_it_what_it_would_have_made_in_time(reply: Cause) -> None:
    assert follow(follow(Submission.SENDING, Cause.LOST), reply) is follow(Submission.SENDING, reply)


def test_each_outcome_of_a_call_causes_something_but_for_one_that_comes_too_late() -> None:
    assert set(CallOutcome) - set(CAUSES) == {CallOutcome.ACCEPTED_LATE}
    assert set(CAUSES.values()) == {*REPLIES, Cause.LOST}


@pytest.mark.parametrize("start", Submission)
def test_wherever_it_is_it_can_still_be_accepted(start: Submission) -> None:
    reached = {start}
    while more := {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached:
        reached |= more
    assert Submission.ACCEPTED in reached


@dataclass
class History:
    """A submission as the table takes it on, and what Cobalt and we know of it.

    ``may_have`` says that a call of this attempt may have reached Cobalt, and no later word of Cobalt's denied it.
    """

    state: Submission = FIRST
    known: bool = False
    may_have: bool = False
    calls: int = 0
    causes: list[Cause] = field(default_factory=list)

    def can(self) -> list[Cause]:
        """What may come next: what the table declares, and of that what reality allows."""
        return [
            cause
            for cause in Cause
            if allows(self.state, cause)
            and (cause is not Cause.BOOKED or self.known)  # an event finds only what it can name
            and (cause is not Cause.FOUND or not self.known)
        ]

    def take(self, cause: Cause) -> None:
        self.causes.append(cause)
        self.state = follow(self.state, cause)
        match cause:
            case Cause.CLAIMED:
                assert not self.may_have, "it is sent a second time although Cobalt may have it"
                self.may_have = True
                self.calls += 1
            case Cause.NEVER_LEFT | Cause.REFUSED | Cause.ASKED:
                self.may_have = False
            case Cause.TAKEN | Cause.FOUND:
                self.known = True
            case _:
                pass
        assert self.state is not Submission.ACCEPTED or self.known, "it is accepted without an id"
        assert self.state is not Submission.SENDING or cause is Cause.CLAIMED, "a call is under way that nobody makes"
        assert self.state is not Submission.QUEUED or not self.may_have, "it is to be sent although Cobalt may have it"


@settings(max_examples=500)
@given(st.data())
def test_no_history_sends_twice_what_cobalt_may_have(data: st.DataObject) -> None:
    history = History()
    for _ in range(data.draw(st.integers(0, 25))):
        history.take(data.draw(st.sampled_from(history.can())))
    # Each call but the first follows a word of Cobalt's that it took nothing, or a person.
    assert history.calls <= 1 + sum(cause in {Cause.NEVER_LEFT, Cause.ASKED} for cause in history.causes)
