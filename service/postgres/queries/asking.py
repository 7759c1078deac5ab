"""Queries about what is not known yet: overdue outcomes and unconfirmed submissions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text

from service.domain.comparing import comparable
from service.domain.submission import Submission
from service.domain.zones import find_zone
from service.postgres.conditions import IS_AWAITED, IS_UNCONFIRMED
from service.postgres.models import Appointment, Event
from service.postgres.queries.appointments import REFERENCES
from service.postgres.queries.due import count_due, counting, granted, selecting

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Question:
    """An appointment that Cobalt should be asked about.

    Args:
        cobalt_appointment_id: None when a create's reply was lost.
        cobalt_job_id: In the later reply shape only.
        asks: How often it was asked before.
    """

    appointment_id: str
    account: str
    status: str
    submission: str
    cobalt_appointment_id: str | None
    cobalt_job_id: str | None
    mrn: str
    provider: str
    starts_local: datetime | None
    starts_at: datetime | None
    sent_at: datetime
    asks: int


LATEST = 200
"""How many confirmations are looked through for a clinic's zone: enough for its account's other locations."""

_RETURNING = """
  a.id AS appointment_id, a.account, a.status, a.submission, a.cobalt_appointment_id, a.cobalt_job_id, a.mrn,
  a.provider, a.starts_local, a.starts_at, a.sent_at, a.asks
"""
_CLAIM = """
WITH due AS ({due})
UPDATE appointments a SET
  asks = a.asks + 1,
  due_at = :now + CAST(:interval AS interval) * power(2, least(a.asks, 6)) * (0.75 + random() / 2)
FROM due WHERE a.id = due.id
RETURNING {returning}
"""
# What waits for its outcome; and what was given up before an event came that may be its own: see hurry.
_WHICH = (IS_AWAITED, f"status = 'failed' AND {IS_UNCONFIRMED}")
_COUNTS = [counting(which) for which in _WHICH]
_CLAIMS = [text(_CLAIM.format(due=selecting(which), returning=_RETURNING)) for which in _WHICH]

_OPEN = text(f"""
SELECT {_RETURNING} FROM appointments a
WHERE {IS_AWAITED} AND sent_at >= :since
ORDER BY sent_at
""")  # noqa: S608 (constants)


def count_questions(session: Session, *, most: int, left_alone: Collection[str], now: datetime) -> Counter[str]:
    """Count the appointments of each account that are due to be asked about; see ``count_due``."""
    counts: Counter[str] = Counter()
    for statement in _COUNTS:
        counts.update(count_due(session, statement, most=most, left_alone=left_alone, now=now))
    return counts


def claim_questions(
    session: Session, *, allowed: Mapping[str, int], now: datetime, interval: timedelta
) -> list[Question]:
    """Claim appointments that are due to be asked about, and put each off until the next time.

    Args:
        session: In which transaction.
        allowed: Account -> how many of it at most.
        now: On our clock.
        interval: The first wait; it doubles each time, up to 64 times that, with jitter.
    """
    questions: list[Question] = []
    for statement in _CLAIMS:
        left = Counter(allowed) - Counter(question.account for question in questions)
        rows = session.execute(statement, granted(left, now) | {"interval": interval})
        questions += [Question(**row) for row in rows.mappings()]
    return questions


def is_open(session: Session, question: Question) -> bool:
    """Tell whether an appointment still waits for the outcome that a question was about."""
    found = select(Appointment.status).where(Appointment.id == question.appointment_id)
    row = session.execute(found).first()
    return row is not None and row.status == question.status


def open_questions(session: Session, *, since: datetime) -> list[Question]:
    """List every appointment that was sent since then and has no outcome, whether or not it is due."""
    return [Question(**row) for row in session.execute(_OPEN, {"since": since}).mappings()]


# It waits for a look at a row that is under way, and keeps the next look waiting until the event is committed, also
# where the row is due already: else that look would miss the event, and the next one would be a long time off. In the
# order of the ids, as everyone locks rows.
HURRY = f"""
WITH waiting AS (
  SELECT id FROM appointments
  WHERE {IS_UNCONFIRMED} AND coalesce(mrn_key, mrn) = ANY({{mrns}}) AND status <> 'created'
    AND cobalt_appointment_id IS NULL
  ORDER BY id FOR NO KEY UPDATE
)
UPDATE appointments a SET due_at = least(a.due_at, {{now}}) FROM waiting WHERE a.id = waiting.id
"""  # noqa: S608 (constants)
"""Has unconfirmed submissions for these patients looked at at once: an event came that may be theirs.

``mrns`` are comparable.
"""


def find_rivals(session: Session, question: Question) -> Sequence[Appointment]:
    """Find the other requests for this patient whose id at Cobalt is not known yet either.

    One that was given up is among them: late evidence may be its own.
    """
    return session.scalars(
        select(Appointment).where(
            func.coalesce(Appointment.mrn_key, Appointment.mrn) == comparable(question.mrn),
            Appointment.account == question.account,
            Appointment.id != question.appointment_id,
            Appointment.status != "created",
            Appointment.cobalt_appointment_id.is_(None),
            Appointment.submission.in_([Submission.SENDING, Submission.UNCONFIRMED]),
        )
    ).all()


def find_unmatched(session: Session, mrn: str) -> Sequence[Event]:
    """Find the events about a patient that wait for their appointment to become known."""
    return session.scalars(select(Event).where(Event.disposition == "unmatched", Event.mrn == comparable(mrn))).all()


def find_known(session: Session, cobalt_ids: Collection[str]) -> set[str]:
    """Find which of these ids at Cobalt belong to an appointment already."""
    return set(
        session.scalars(
            select(Appointment.cobalt_appointment_id).where(Appointment.cobalt_appointment_id.in_(cobalt_ids))
        )
    )


def last_confirmed_zone(session: Session, appointment_id: str) -> str | None:
    """Say in which zone Cobalt last confirmed an appointment at the same account and location.

    Only the latest of the account are looked through. An account may have clinics in several zones.
    """
    location = Appointment.request["location"].astext
    account, wanted = session.execute(
        select(Appointment.account, location).where(Appointment.id == appointment_id)
    ).one()
    latest = session.execute(
        select(Appointment.confirmation["timezone"].astext, location)
        .where(Appointment.account == account, Appointment.status == "created")
        .order_by(Appointment.created_at.desc())
        .limit(LATEST)
    )
    there = (zone for zone, where in latest if comparable(where) == comparable(wanted))
    return next(filter(find_zone, there), None)


def find_overlooked(session: Session) -> list[str]:
    """Find ids at Cobalt with events that wait although their appointment is known: there should never be any."""
    return list(session.scalars(_OVERLOOKED))


_OVERLOOKED = text(f"""
SELECT DISTINCT e.cobalt_appointment_id
FROM events e JOIN appointments a ON a.cobalt_appointment_id = e.cobalt_appointment_id
WHERE e.disposition = 'unmatched' AND a.attempt_since IS NOT NULL AND (
  e.of_another_account IS NULL
  OR e.account_reference IN (SELECT reference FROM ({REFERENCES.format(accounts="a.account")}) AS found))
""")  # noqa: S608 (constants)
