"""Settle an unconfirmed submission by evidence: find out which appointment at Cobalt is its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from service.domain.evidence import Asked, Evidence, fits, from_event
from service.domain.failures import Category
from service.domain.request_fields import start_of
from service.domain.starts import Fit
from service.domain.states import EVER, Status
from service.domain.submission import WITH_COBALT, Cause, Submission, allows, follow
from service.domain.zones import find_zone
from service.errors import ConflictError, NotFoundError
from service.postgres.engine import transaction
from service.postgres.queries import appointments, asking, decisions, events
from service.telemetry import log
from service.usecases.events.match_waiting import match_waiting
from service.usecases.events.settling import begin, refuse
from service.usecases.submissions.record_reply import CLOCK_MARGIN, take_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.postgres.models import Appointment
    from service.postgres.queries.asking import Question
    from service.postgres.queries.decisions import Person

UNCONFIRMED_REASON = (
    "Cobalt's answer to this request was lost, and since then neither an event nor Cobalt's list has shown an "
    "appointment for it. Check the EHR, then resubmit."
)

FOR_GOOD = timedelta(days=36_500)
"""Nothing is due any more, unless an event comes that may be this one's."""

logger = log.get_logger(__name__)


def adopt(
    engine: Engine,
    question: Question,
    listed: Sequence[Evidence] | None,
    *,
    zone: str | None,
    ask_after: timedelta,
) -> str:
    """Give an unconfirmed submission the one appointment at Cobalt that fits it and no other request.

    Args:
        engine: Where the appointments are.
        question: The submission; the reply to its create was lost.
        listed: What Cobalt's list shows; None while it was not asked, and the candidates are not known.
        zone: The clinic's zone, where it is known.
        ask_after: How long its event may take from now on.

    Returns:
        ``adopted``; ``nothing`` fits; ``candidates`` are left for a person; or it has ``moved`` on meanwhile.
    """
    now = datetime.now(UTC)
    with transaction(engine) as session:
        zone = zone if find_zone(zone) else asking.last_confirmed_zone(session, question.appointment_id)
        candidates = _candidates(session, question, listed or [], zone)
        events.lock_ids(session, candidates)
        row = _lock_waiting(session, question.appointment_id)
        if row is None:
            return "moved"
        known = asking.find_known(session, candidates)
        [refused] = decisions.find_refused(session, [row.id]).values()
        free = [cobalt_id for cobalt_id in candidates if cobalt_id not in known and cobalt_id not in refused]
        if len(free) == 1 and _is_certain(session, question, free[0], candidates[free[0]], zone):
            _give(session, row, free[0], now=now, ask_after=ask_after)
            decisions.record(session, row, "adopted", person=None, now=now, cobalt_ids=free)
            return "adopted"
        if free != list(row.candidates) and (free or listed is not None):
            row.candidates = sorted(free)
            row.updated_at = now
            row.version += 1
        return "candidates" if free else "nothing"


def adopt_by_hand(engine: Engine, appointment_id: str, cobalt_id: str, *, person: Person, ask_after: timedelta) -> None:
    """Do what a person decided who looked at the candidates, or into the EHR.

    Raises:
        NotFoundError: There is no such appointment.
        ConflictError: It is not unconfirmed, or the id belongs to another appointment.
    """
    now = datetime.now(UTC)
    with transaction(engine) as session:
        events.lock_ids(session, [cobalt_id])
        row = _get_waiting(session, appointment_id)
        if appointments.belongs_to_another(session, cobalt_id, appointment_id):
            raise ConflictError("this id at Cobalt belongs to another appointment")
        _give(session, row, cobalt_id, now=now, ask_after=ask_after)
        decisions.record(session, row, "adopted", person=person, now=now, cobalt_ids=[cobalt_id])


def abandon_by_hand(engine: Engine, appointment_id: str, *, person: Person) -> None:
    """Fail a request of which a person, who looked into the EHR, says that Cobalt will say no more of it.

    Either it is unconfirmed and none of the candidates is its own, or its outcome never came. What Cobalt says
    later still counts; but the candidates that were shown are never taken for its own again, unless by a person.

    Raises:
        NotFoundError: There is no such appointment.
        ConflictError: It does not wait for Cobalt.
    """
    with transaction(engine) as session:
        row = appointments.lock_appointment(session, appointment_id)
        if row is None:
            raise NotFoundError("there is no appointment with this id")
        if row.status != Status.PROCESSING or row.submission not in WITH_COBALT:
            raise ConflictError("this appointment does not wait for Cobalt")
        now = datetime.now(UTC)
        decisions.record(session, row, "abandoned", person=person, now=now, cobalt_ids=row.candidates)
        row.candidates = []
        _refuse(session, row, now=now)
    logger.warning("abandoned by a person", appointment_id=appointment_id)


def give_up(engine: Engine, question: Question) -> bool:
    """Fail an unconfirmed submission for which the evidence has stayed away; tells whether it did."""
    now = datetime.now(UTC)
    with transaction(engine) as session:
        row = appointments.lock_appointment(session, question.appointment_id)
        if row is None or row.submission != Submission.UNCONFIRMED or row.sent_at != question.sent_at or row.candidates:
            return False
        decisions.record(session, row, "gave_up", person=None, now=now)
        _refuse(session, row, now=now)
    logger.warning("submission unconfirmed for good", appointment_id=question.appointment_id)
    return True


def _refuse(session: Session, row: Appointment, *, now: datetime) -> None:
    outcome = appointments.as_locked(row)
    # Dated before anything that Cobalt can still say of this attempt, so that its words replace ours.
    occurred_at = (row.sent_at or now) - CLOCK_MARGIN
    refuse(outcome, Category.SUBMISSION_UNCONFIRMED, UNCONFIRMED_REASON, occurred_at=occurred_at, now=now)
    session.flush()
    appointments.write_outcomes(session, [outcome], now=now)
    if row.due_at > now:  # else an event came since we looked: see hurry
        row.due_at = now + FOR_GOOD


def _get_waiting(session: Session, appointment_id: str) -> Appointment:
    row = _lock_waiting(session, appointment_id)
    if row is not None:
        return row
    if appointments.lock_appointment(session, appointment_id) is None:
        raise NotFoundError("there is no appointment with this id")
    raise ConflictError("this appointment does not wait for its id at Cobalt")


def _give(session: Session, row: Appointment, cobalt_id: str, *, now: datetime, ask_after: timedelta) -> None:
    take_back(row)
    row.submission = follow(row.submission, Cause.FOUND)
    row.cobalt_appointment_id = cobalt_id
    row.accepted_at = now
    row.accepted_request = row.request
    row.last_error = None
    row.candidates = []
    begin(row, EVER)
    row.due_at = now + ask_after
    row.updated_at = now
    row.version += 1
    session.flush()
    match_waiting(session, cobalt_id, now=now)
    logger.info("submission adopted", appointment_id=row.id, cobalt_appointment_id=cobalt_id)


def _lock_waiting(session: Session, appointment_id: str) -> Appointment | None:
    """Lock an appointment if it still waits to learn its id at Cobalt."""
    row = appointments.lock_appointment(session, appointment_id)
    if row is None or row.cobalt_appointment_id or not allows(row.submission, Cause.FOUND) or row.status == "created":
        return None
    return row


def _candidates(
    session: Session,
    question: Question,
    listed: Sequence[Evidence],
    zone: str | None,
) -> dict[str, list[Evidence]]:
    """Group the evidence by id at Cobalt, and keep the ids of which all of it fits, or may fit."""
    named = appointments.find_names(session, question.account)
    waiting = (
        from_event(events.read_recorded(event))
        for event in asking.find_unmatched(session, question.mrn)
        if event.account_reference is None or (question.account, event.account_reference) in named
    )
    by_id: dict[str, list[Evidence]] = {}
    for one in (*waiting, *listed):
        if one is not None:
            by_id.setdefault(one.cobalt_id, []).append(one)
    asked = _asked(question, zone)
    return {cobalt_id: group for cobalt_id, group in sorted(by_id.items()) if _all_fit(group, asked)}


def _is_certain(
    session: Session, question: Question, cobalt_id: str, group: Sequence[Evidence], zone: str | None
) -> bool:
    """Tell whether the evidence fits beyond doubt, and no other request that waits for its id could be the one too."""
    if _all_fit(group, _asked(question, zone)) is not Fit.YES:
        return False
    rivals = asking.find_rivals(session, question)
    refused = decisions.find_refused(session, [rival.id for rival in rivals])
    return not any(cobalt_id not in refused[rival.id] and _all_fit(group, _asked(rival, zone)) for rival in rivals)


def _all_fit(group: Sequence[Evidence], asked: Asked) -> Fit:
    return min(fits(one, asked) for one in group)


def _asked(one: Question | Appointment, zone: str | None) -> Asked:
    sent_at = one.sent_at or datetime.now(UTC)
    return Asked(one.mrn, start_of(one.starts_local, one.starts_at), zone, one.provider, sent_at - CLOCK_MARGIN)
