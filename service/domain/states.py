"""The rule: which status an appointment has, whatever the order in which its events come.

The status is a join. Within one attempt ``processing < failed < created``, and ``created`` wins from any
attempt, so order, repetition and batching cannot change where an appointment ends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The start of an attempt to which every event of the appointment's Cobalt id belongs."""


class Status(StrEnum):
    """What became of an appointment: the user's three states and nothing else."""

    PROCESSING = "processing"
    FAILED = "failed"
    CREATED = "created"


class Said(StrEnum):
    """What an event says of an appointment, seen from its current attempt."""

    CREATED = "created"
    FAILED = "failed"
    FAILED_EARLIER = "failed earlier"  # it belongs to an attempt before the latest correction
    FAILED_EARLY = "failed early"  # nobody knows yet when the latest correction was accepted


class Disposition(StrEnum):
    """What became of an event, and what a delivery of it is answered."""

    APPLIED = "applied"  # the status rests on it
    SUPERSEDED = "superseded"  # kept, but another event decides
    UNMATCHED = "unmatched"  # waits for the request or the attempt that it belongs to
    IGNORED = "ignored"  # of a type that settles nothing
    NOTED = "noted"  # about an account: its health takes it into account
    QUARANTINED = "quarantined"  # authentic bytes that could not be read
    DUPLICATE = "duplicate"  # a delivery's answer only: the event was known
    SPOOLED = "spooled"  # a delivery's answer only: it waits on disk


class Verdict(StrEnum):
    """What the rule does with an event."""

    SETTLE = "settle"  # the status rests on it from now on
    LATER = "later"  # as SETTLE if it is later than the one the status rests on; else superseded
    EARLIER = "earlier"  # as SETTLE if it is earlier than the one the status rests on; else superseded
    SUPERSEDE = "supersede"
    WAIT = "wait"


RULE: Mapping[tuple[Status, Said], Verdict] = {
    (Status.PROCESSING, Said.CREATED): Verdict.SETTLE,
    (Status.PROCESSING, Said.FAILED): Verdict.SETTLE,
    (Status.PROCESSING, Said.FAILED_EARLIER): Verdict.SUPERSEDE,
    (Status.PROCESSING, Said.FAILED_EARLY): Verdict.WAIT,
    (Status.FAILED, Said.CREATED): Verdict.SETTLE,
    (Status.FAILED, Said.FAILED): Verdict.LATER,  # of several failures the latest gives the reason
    (Status.FAILED, Said.FAILED_EARLIER): Verdict.SUPERSEDE,
    (Status.FAILED, Said.FAILED_EARLY): Verdict.WAIT,
    (Status.CREATED, Said.CREATED): Verdict.EARLIER,  # final: a second one adds nothing
    (Status.CREATED, Said.FAILED): Verdict.SUPERSEDE,
    (Status.CREATED, Said.FAILED_EARLIER): Verdict.SUPERSEDE,
    (Status.CREATED, Said.FAILED_EARLY): Verdict.WAIT,  # whether it is a conflict shows later
}


class Ruling(NamedTuple):
    """What a status rests on: an event, or a decision of ours (then ``event_id`` is empty).

    Ordered by Cobalt's clock, then by id, so that two observers agree on "the latest".
    """

    occurred_at: datetime
    event_id: str


class Standing(NamedTuple):
    """Where an appointment stands.

    Args:
        status: The status.
        attempt: 1 for the first submission; each correction or resubmission adds one.
        since: When Cobalt took the current attempt, on Cobalt's clock; ``None`` while nobody knows yet.
        ruling: What the status rests on; ``None`` while processing.
        failures: How many ``failed`` events the current attempt has had.
    """

    status: Status = Status.PROCESSING
    attempt: int = 1
    since: datetime | None = EVER
    ruling: Ruling | None = None
    failures: int = 0

    @property
    def conflicts(self) -> int:
        """How often Cobalt said ``failed`` of an attempt of which it also said ``created``."""
        return self.failures if self.status is Status.CREATED else 0


class Decision(NamedTuple):
    """What the rule made of one event.

    Args:
        standing: Where the appointment stands now.
        disposition: What became of the event.
        superseded: The id of the event that the status rested on until now, if this one displaced it.
        repeats: The id of the event whose outcome this one told again.
    """

    standing: Standing
    disposition: Disposition
    superseded: str | None = None
    repeats: str | None = None


def judge(standing: Standing, status: Status, ruling: Ruling, *, repeats: str | None = None) -> Decision:
    """Apply the rule to one event that says ``created`` or ``failed``.

    The caller sees to it that each event is judged once: a second time it would count as another failure.

    Args:
        standing: Where the appointment stands.
        status: What the event says.
        ruling: The event.
        repeats: The event of this attempt, judged before, whose outcome this one tells again: that is one failure.
            Which of the two the status rests on is for the rule, or their order would matter.
    """
    said = _seen_from(standing, status, ruling)
    failures = standing.failures + (said is Said.FAILED and repeats is None)
    verdict = RULE[standing.status, said]
    if verdict is Verdict.WAIT:
        return Decision(standing, Disposition.UNMATCHED)
    settles = verdict is Verdict.SETTLE or (
        standing.ruling is not None
        and (
            (verdict is Verdict.LATER and ruling > standing.ruling)
            or (verdict is Verdict.EARLIER and ruling < standing.ruling)
        )
    )
    if not settles:
        return Decision(standing._replace(failures=failures), Disposition.SUPERSEDED, repeats=repeats)
    displaced = standing.ruling.event_id if standing.ruling else None
    return Decision(
        Standing(status, standing.attempt, standing.since, ruling, failures),
        Disposition.APPLIED,
        displaced or None,
        repeats,
    )


def begin_attempt(standing: Standing) -> Standing:
    """Start the next attempt after a person corrected or resubmitted a failed appointment.

    Failures that come before Cobalt is known to have taken the attempt wait: they may belong to either.
    """
    return Standing(attempt=standing.attempt + 1, since=None)


def accept_attempt(standing: Standing, since: datetime) -> Standing:
    """Record when, on Cobalt's clock, the current attempt began. Failures from before are superseded."""
    return standing._replace(since=since)


def refuse(standing: Standing, occurred_at: datetime) -> Standing:
    """Fail an appointment that still processes by a decision of ours; any other is left as it is."""
    if standing.status is not Status.PROCESSING:
        return standing
    return standing._replace(status=Status.FAILED, ruling=Ruling(occurred_at, ""))


def reopen(standing: Standing) -> Standing:
    """Take back a decision of ours to fail; what rests on an event is left as it is."""
    if standing.status is not Status.FAILED or standing.ruling is None or standing.ruling.event_id:
        return standing
    return standing._replace(status=Status.PROCESSING, ruling=None)


def _seen_from(standing: Standing, status: Status, ruling: Ruling) -> Said:
    if status is Status.CREATED:
        return Said.CREATED
    if standing.since is None:
        return Said.FAILED_EARLY
    return Said.FAILED if ruling.occurred_at >= standing.since else Said.FAILED_EARLIER
