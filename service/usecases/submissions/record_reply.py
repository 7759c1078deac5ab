"""Record what Cobalt's reply, or its silence, made of a submission."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from service import cobalt
from service.domain.failures import Category
from service.domain.request_fields import in_doubt
from service.domain.states import EVER, Status, reopen
from service.domain.submission import CAUSES, CallOutcome, Cause, allows, follow
from service.postgres.engine import transaction
from service.postgres.queries import appointments, events, submissions
from service.usecases.events.match_waiting import match_waiting
from service.usecases.events.settling import begin, refuse, relieve

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.postgres.models import Appointment
    from service.postgres.queries.submissions import Claim

FIRST_BACK_OFF = timedelta(seconds=0.5)
LONGEST_BACK_OFF = timedelta(minutes=1)
CLOCK_MARGIN = timedelta(seconds=2)
"""How far Cobalt's clock may be behind ours where no reply told the time."""


def record_reply(
    engine: Engine, claim: Claim, reply: cobalt.Reply, *, ask_after: timedelta, took: timedelta | None = None
) -> str:
    """Record the outcome of a claimed call, and apply the events that waited for it.

    Args:
        engine: Where the appointments are.
        claim: What was called.
        reply: What came of it.
        ask_after: How long the event may take.
        took: How long the call took; until now, when it is not given. Recording may have had to wait.

    Returns:
        What the submission is now, or ``stale`` if the row has moved on since the call was claimed.
    """
    now = datetime.now(UTC)
    with transaction(engine) as session:
        cobalt_id = reply.cobalt_appointment_id if isinstance(reply, cobalt.Accepted) else claim.cobalt_appointment_id
        events.lock_ids(session, [cobalt_id] if cobalt_id else [])
        row = appointments.lock_appointment(session, claim.appointment_id)
        if row is None or not _is_awaited(row, claim, reply):
            known = row.cobalt_appointment_id if row else None
            late = isinstance(reply, cobalt.Accepted) and reply.cobalt_appointment_id != known
            _write_down(session, claim, reply, now, late=late)
            return "stale"
        _write_down(session, claim, reply, now, late=False)
        row.updated_at = now
        row.version += 1
        if isinstance(reply, cobalt.Accepted):
            row.due_at = now + ask_after * random.uniform(1, 1.1)  # noqa: S311 (spreads load, guards nothing)
        _apply(session, row, reply, now, took or now - claim.sent_at)
        row.lease_until = None
        return row.submission


def _is_awaited(row: Appointment, claim: Claim, reply: cobalt.Reply) -> bool:
    """Tell whether an appointment still waits for the reply to this very call."""
    cause = CAUSES[_OUTCOMES[type(reply)]]
    if (row.attempt, row.tries) != (claim.attempt, claim.tries) or not allows(row.submission, cause):
        return False
    # What has failed meanwhile is a person's: it is not sent again by itself, though it turns out that it was not sent.
    return cause is not Cause.NEVER_LEFT or row.status != Status.FAILED


def _apply(session: Session, row: Appointment, reply: cobalt.Reply, now: datetime, took: timedelta) -> None:
    match reply:
        case cobalt.Accepted():
            _accept(session, row, reply, now, took)
        case cobalt.NeverLeft():
            _requeue(session, row, reply.error, now=now, due_at=now + back_off(row.tries))
        case cobalt.Throttled() | cobalt.Unauthorized():
            # Back to its place in the queue: it is the account that has to wait, and the oldest goes first then.
            _requeue(session, row, f"HTTP {reply.http_status}", now=now, due_at=row.requested_at)
        case cobalt.Rejected():
            _reject(session, row, reply, now, took)
        case cobalt.Unclear():
            _doubt(session, row, reply.error, now)


def _doubt(session: Session, row: Appointment, error: str, now: datetime) -> None:
    """Nobody knows whether Cobalt took it: evidence has to say, it is never sent again blindly."""
    row.submission = follow(row.submission, Cause.UNCLEAR)
    row.last_error = error
    row.due_at = now
    suppose_begun(session, row, now)


def suppose_begun(session: Session, row: Appointment, now: datetime) -> None:
    """Suppose of a correction of which nobody knows whether Cobalt took it that it did, when it was sent.

    What waited for its beginning is applied.
    """
    if row.cobalt_appointment_id and row.sent_at:
        begin(row, row.sent_at - CLOCK_MARGIN)
        row.accepted_request = in_doubt(row.accepted_request or {}, row.request)
        session.flush()
        match_waiting(session, row.cobalt_appointment_id, now=now)


def _accept(session: Session, row: Appointment, reply: cobalt.Accepted, now: datetime, took: timedelta) -> None:
    cobalt_id = reply.cobalt_appointment_id
    if appointments.belongs_to_another(session, cobalt_id, row.id):
        _doubt(session, row, "Cobalt answered with the id of another appointment", now)
        return
    # A new id is this attempt's alone; under a known one, events of earlier attempts may still come.
    begin(row, EVER if row.cobalt_appointment_id is None else _began_at(reply.replied_at, took))
    take_back(row)
    row.submission = follow(row.submission, Cause.TAKEN)
    row.cobalt_appointment_id = cobalt_id
    row.cobalt_job_id = reply.job_id or row.cobalt_job_id
    row.accepted_at = now
    row.accepted_request = row.request
    row.last_error = None
    session.flush()
    match_waiting(session, cobalt_id, now=now)


def take_back(row: Appointment) -> None:
    """Have an appointment process again that we had given up, and were wrong about."""
    if row.failure_category != Category.SUBMISSION_UNCONFIRMED:
        return
    standing = reopen(appointments.as_locked(row).standing)
    row.status, row.ruling_at = standing.status.value, None
    row.failure = row.failure_category = row.settled_at = None


def _reject(session: Session, row: Appointment, reply: cobalt.Rejected, now: datetime, took: timedelta) -> None:
    row.submission = follow(row.submission, Cause.REFUSED)
    row.last_error = f"HTTP {reply.http_status}"
    if row.cobalt_appointment_id is not None:
        begin(row, _began_at(reply.replied_at, took))
    session.flush()
    outcome = appointments.as_locked(row)
    refuse(outcome, Category.REJECTED_BY_COBALT, reply.reason, occurred_at=reply.replied_at, now=now)
    appointments.write_outcomes(session, [outcome], now=now)
    if row.cobalt_appointment_id:
        match_waiting(session, row.cobalt_appointment_id, now=now)


def _requeue(session: Session, row: Appointment, error: str, *, now: datetime, due_at: datetime) -> None:
    row.submission = follow(row.submission, Cause.NEVER_LEFT)
    outcome = appointments.as_locked(row)
    if row.cobalt_appointment_id and relieve(outcome):  # Cobalt booked an earlier attempt meanwhile
        row.submission, row.attempt_since = outcome.submission, outcome.standing.since
        session.flush()
        match_waiting(session, row.cobalt_appointment_id, now=now)
        return
    if row.cobalt_appointment_id:
        row.attempt_since = None  # what was supposed when the lease ended was wrong
    row.last_error = error
    row.due_at = due_at


def _began_at(replied_at: datetime, took: timedelta) -> datetime:
    """Say when an attempt began, on Cobalt's clock: when our call set out, not when its reply came.

    The robot may be done, and the event dated, before the reply is written. The header has whole seconds only.
    """
    return (replied_at - took).replace(microsecond=0)


def back_off(tries: int) -> timedelta:
    """Say how long to wait after this many calls that never left: doubling, with jitter, up to a minute."""
    return _jitter(min(FIRST_BACK_OFF * 2 ** min(tries - 1, 10), LONGEST_BACK_OFF))


def _jitter(duration: timedelta) -> timedelta:
    return duration * random.uniform(0.5, 1.5)  # noqa: S311 (spreads load, guards nothing)


def _write_down(session: Session, claim: Claim, reply: cobalt.Reply, now: datetime, *, late: bool) -> None:
    submissions.write_down(
        session,
        claim,
        outcome=CallOutcome.ACCEPTED_LATE if late else _OUTCOMES[type(reply)],
        cobalt_id=reply.cobalt_appointment_id if isinstance(reply, cobalt.Accepted) else None,
        http_status=getattr(reply, "http_status", None),
        error=reply.reason if isinstance(reply, cobalt.Rejected) else getattr(reply, "error", None),
        now=now,
    )


_OUTCOMES = {
    cobalt.Accepted: CallOutcome.ACCEPTED,
    cobalt.NeverLeft: CallOutcome.NEVER_LEFT,
    cobalt.Throttled: CallOutcome.THROTTLED,
    cobalt.Unauthorized: CallOutcome.UNAUTHORIZED,
    cobalt.Rejected: CallOutcome.REJECTED,
    cobalt.Unclear: CallOutcome.UNCLEAR,
}
