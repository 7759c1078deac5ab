"""The other rule: how far the call to Cobalt has got, and what takes it from there.

Cobalt cannot be asked to book something once only. So the table has one way into ``sending``, from ``queued``; and
what may have reached Cobalt gets back to ``queued`` only when Cobalt says that it took nothing, or by a person.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Submission(StrEnum):
    """How far the call to Cobalt has got."""

    QUEUED = "queued"  # a worker takes it to Cobalt when it is due
    SENDING = "sending"  # a call is under way, under a lease
    ACCEPTED = "accepted"  # Cobalt took it; its id at Cobalt is known
    UNCONFIRMED = "unconfirmed"  # nobody knows whether Cobalt took it
    REJECTED = "rejected"  # Cobalt refused it


class Cause(StrEnum):
    """What takes a submission on."""

    CLAIMED = "claimed"  # a worker takes it
    TAKEN = "taken"  # Cobalt took it: 2xx with an id
    NEVER_LEFT = "never left"  # Cobalt took nothing: no connection, 429, 401 or 403
    REFUSED = "refused"  # any other 4xx
    UNCLEAR = "unclear"  # a time-out, 5xx, a reply that cannot be read or names another appointment's id
    LOST = "lost"  # the lease ended: the worker crashed during the call
    FOUND = "found"  # evidence, or a person, says which appointment at Cobalt it is
    BOOKED = "booked"  # an event says that it is booked: what waits to be sent is not needed any more
    ASKED = "asked"  # a person corrects or resubmits it


TRANSITIONS: Mapping[tuple[Submission, Cause], Submission] = {
    (Submission.QUEUED, Cause.CLAIMED): Submission.SENDING,
    (Submission.QUEUED, Cause.BOOKED): Submission.ACCEPTED,
    (Submission.SENDING, Cause.TAKEN): Submission.ACCEPTED,
    (Submission.SENDING, Cause.NEVER_LEFT): Submission.QUEUED,
    (Submission.SENDING, Cause.REFUSED): Submission.REJECTED,
    (Submission.SENDING, Cause.UNCLEAR): Submission.UNCONFIRMED,
    (Submission.SENDING, Cause.LOST): Submission.UNCONFIRMED,
    # The reply may come after the lease ended, from a worker that was only slow.
    (Submission.UNCONFIRMED, Cause.TAKEN): Submission.ACCEPTED,
    (Submission.UNCONFIRMED, Cause.NEVER_LEFT): Submission.QUEUED,
    (Submission.UNCONFIRMED, Cause.REFUSED): Submission.REJECTED,
    (Submission.UNCONFIRMED, Cause.UNCLEAR): Submission.UNCONFIRMED,
    (Submission.UNCONFIRMED, Cause.FOUND): Submission.ACCEPTED,
    # The appointment failed, and the next attempt begins.
    (Submission.ACCEPTED, Cause.ASKED): Submission.QUEUED,
    (Submission.UNCONFIRMED, Cause.ASKED): Submission.QUEUED,
    (Submission.REJECTED, Cause.ASKED): Submission.QUEUED,
}
"""Every change there is. Where a pair is missing, the cause does not arise or comes too late, and changes nothing."""

FIRST = Submission.QUEUED
"""Where every appointment begins."""

TO_BE_SENT = (Submission.QUEUED, Submission.SENDING)
"""A worker still has to do with it."""

WITH_COBALT = (Submission.ACCEPTED, Submission.UNCONFIRMED)
"""Cobalt has it, or may have it, and is asked what became of it."""


class CallOutcome(StrEnum):
    """How one call to Cobalt went."""

    ACCEPTED = "accepted"
    ACCEPTED_LATE = "accepted_late"  # taken when the appointment had moved on: there may be a second booking
    NEVER_LEFT = "never_left"
    THROTTLED = "throttled"
    UNAUTHORIZED = "unauthorized"
    REJECTED = "rejected"
    UNCLEAR = "unclear"
    LOST = "lost"


CAUSES: Mapping[CallOutcome, Cause] = {
    CallOutcome.ACCEPTED: Cause.TAKEN,
    CallOutcome.NEVER_LEFT: Cause.NEVER_LEFT,
    CallOutcome.THROTTLED: Cause.NEVER_LEFT,
    CallOutcome.UNAUTHORIZED: Cause.NEVER_LEFT,
    CallOutcome.REJECTED: Cause.REFUSED,
    CallOutcome.UNCLEAR: Cause.UNCLEAR,
    CallOutcome.LOST: Cause.LOST,
}
"""What the outcome of a call does to the submission that it was made for. One that comes too late does nothing."""


def follow(submission: str, cause: Cause) -> Submission:
    """Say where a cause takes a submission.

    Raises:
        ValueError: The table does not declare it.
    """
    after = TRANSITIONS.get((Submission(submission), cause))
    if after is None:
        raise ValueError(f"a submission that is {submission} cannot be {cause}")
    return after


def allows(submission: str, cause: Cause) -> bool:
    """Tell whether a cause takes a submission anywhere; else it comes too late, or too early."""
    return (Submission(submission), cause) in TRANSITIONS
