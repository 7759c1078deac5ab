"""Queries that change appointments: lock, then decide, then write."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from service.domain.exact_json import document
from service.domain.request_fields import read_taken
from service.domain.states import Ruling, Standing, Status
from service.domain.submission import Submission
from service.postgres.models import Appointment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from service.domain.events import Event


@dataclass(slots=True)
class Outcome:
    """What is to be told of an appointment's status, and replaces what was told before.

    Args:
        settled_at: When we learned of it.
        learned_from: How the event came that it rests on; None for a decision of ours.
        confirmation: Of a status of created.
        starts_at: The confirmed start.
        failure_category: Of a status of failed, like ``failure``.
        discrepancies: In which fields it is not what was asked for.
    """

    settled_at: datetime
    learned_from: str | None = None
    confirmation: dict[str, Any] | None = None
    starts_at: datetime | None = None
    failure_category: str | None = None
    failure: dict[str, Any] | None = None
    discrepancies: Sequence[str] = ()


@dataclass(slots=True)
class Locked:
    """A row that this transaction holds: what the rule needs to know of it, and what it decided.

    Args:
        account: Whose it is.
        submission: How far the call to Cobalt has got; the rule may take it on.
        asked_mrn: The MRN that was asked for.
        asked_start: The start that was asked for, aware where it was given with an offset.
        judged: The events that it was judged by, as far as one that comes now may tell their outcome again.
        changed: Whether there is something to write back.
        moved: Whether the status rests on another event than before that says the same: that makes no new version.
        outcome: What the status rests on from now on; None while that is what it was.
    """

    id: str
    account: str
    standing: Standing
    submission: Submission
    asked_mrn: str
    asked_start: datetime | None
    judged: list[Event] = field(default_factory=list)
    changed: bool = False
    moved: bool = False
    outcome: Outcome | None = None


# Not FOR UPDATE: events may refer to a row that is being settled.
LOCK = """
SELECT id, account, cobalt_appointment_id, status, attempt, attempt_since, ruling_event_id, ruling_at, failures,
  submission, mrn, starts_local, request ->> 'datetime' AS asked_datetime
FROM appointments WHERE cobalt_appointment_id = ANY({cobalt_ids}) ORDER BY id
FOR NO KEY UPDATE
"""
"""Locks the appointments that have these ids at Cobalt, in the order of their own ids."""

REFERENCES = """
SELECT account, reference FROM account_references WHERE account IN ({accounts})
UNION ALL SELECT name, reference FROM accounts WHERE name IN ({accounts})
"""
"""Finds what Cobalt calls these accounts; see ``with_names``."""

SETTLE = """
UPDATE appointments a SET
  status = w.status, failures = w.failures, ruling_event_id = w.ruling_event_id, ruling_at = w.ruling_at,
  confirmation = CASE WHEN w.ruled THEN w.confirmation ELSE a.confirmation END,
  failure_category = CASE WHEN w.ruled THEN w.failure_category ELSE a.failure_category END,
  failure = CASE WHEN w.ruled THEN w.failure ELSE a.failure END,
  discrepancies = CASE WHEN w.ruled THEN w.discrepancies ELSE a.discrepancies END,
  settled_at = CASE WHEN w.ruled THEN w.settled_at ELSE a.settled_at END,
  learned_from = CASE WHEN w.ruled THEN w.learned_from ELSE a.learned_from END,
  starts_at = CASE WHEN w.confirmation IS NULL THEN a.starts_at ELSE w.starts_at END,
  updated_at = CASE WHEN w.changed THEN {now} ELSE a.updated_at END, version = a.version + CAST(w.changed AS int),
  submission = w.submission, attempt_since = w.attempt_since
FROM jsonb_to_recordset({rows}) AS w(
  id text, changed bool, status text, failures int, ruling_event_id text, ruling_at timestamptz, ruled bool,
  confirmation jsonb, failure_category text, failure jsonb, discrepancies text[], starts_at timestamptz,
  settled_at timestamptz, learned_from text, submission text, attempt_since timestamptz)
WHERE a.id = w.id
"""
"""Writes back what the rule decided; ``rows`` is what ``settled_rows`` makes."""

_LOCK = text(LOCK.format(cobalt_ids="ARRAY[:cobalt_id]"))
_REFERENCES = text(REFERENCES.format(accounts=":account"))
_SETTLE = text(SETTLE.format(now=":now", rows="CAST(:rows AS jsonb)"))


def lock_by_cobalt_id(session: Session, cobalt_id: str) -> Locked | None:
    """Lock the appointment that has this id at Cobalt."""
    row = session.execute(_LOCK, {"cobalt_id": cobalt_id}).mappings().one_or_none()
    return None if row is None else _locked(row)


def find_names(session: Session, account: str) -> set[tuple[str, str]]:
    """Find what Cobalt calls an account: pairs of it and a reference."""
    found = session.execute(_REFERENCES, {"account": account})
    return with_names({(name, reference) for name, reference in found}, [account])


def with_names(found: set[tuple[str, str]], accounts: Iterable[str]) -> set[tuple[str, str]]:
    """Add the names of those of which ``REFERENCES`` finds nothing: the environment's account is its reference."""
    return found | {(account, account) for account in set(accounts) - {name for name, _ in found}}


def read_locked(rows: Iterable[dict[str, Any]]) -> dict[str, Locked]:
    """Read what ``LOCK`` selected, from JSON: Cobalt's id -> the row."""
    for row in rows:
        for name in _TIMES:
            if row[name] is not None:
                row[name] = datetime.fromisoformat(row[name])
    return {row["cobalt_appointment_id"]: _locked(row) for row in rows}


_TIMES = ("attempt_since", "ruling_at", "starts_local")


def settled_rows(rows: Iterable[Locked]) -> list[dict[str, Any]]:
    """Say what ``SETTLE`` is to write: of the rows, those that changed."""
    return [_written(row) for row in rows if row.changed or row.moved]


def write_outcomes(session: Session, rows: Collection[Locked], *, now: datetime) -> None:
    """Write back what the rule decided about locked rows."""
    changed = settled_rows(rows)
    if changed:
        session.execute(_SETTLE, {"now": now, "rows": document(changed).decode()})


def find_by_cobalt_id(session: Session, cobalt_id: str) -> Appointment | None:
    """Find the appointment that has this id at Cobalt."""
    return session.scalars(select(Appointment).where(Appointment.cobalt_appointment_id == cobalt_id)).first()


def has_account(session: Session, account: str) -> bool:
    """Tell whether any appointment is of this account."""
    return session.scalars(select(Appointment.id).where(Appointment.account == account).limit(1)).first() is not None


def lock_appointment(session: Session, appointment_id: str) -> Appointment | None:
    """Lock one appointment by our id, whole."""
    return session.execute(
        select(Appointment).where(Appointment.id == appointment_id).with_for_update(key_share=True)
    ).scalar_one_or_none()


def as_locked(row: Appointment) -> Locked:
    """See a whole row that this transaction holds as the rule sees it."""
    seen = {name: getattr(row, name) for name in _SEEN}
    return _locked(seen | {"asked_datetime": row.request.get("datetime")})


_SEEN = [
    "account",
    "id",
    "status",
    "attempt",
    "attempt_since",
    "ruling_event_id",
    "ruling_at",
    "failures",
    "submission",
    "mrn",
    "starts_local",
]


def belongs_to_another(session: Session, cobalt_id: str, appointment_id: str) -> bool:
    """Tell whether another appointment has this id at Cobalt; ask under the lock on the id."""
    return (
        session.scalars(
            select(Appointment.id).where(
                Appointment.cobalt_appointment_id == cobalt_id, Appointment.id != appointment_id
            )
        ).first()
        is not None
    )


def _locked(row: Mapping[Any, Any]) -> Locked:
    given = row["asked_datetime"]
    return Locked(
        id=row["id"],
        standing=Standing(
            status=Status(row["status"]),
            attempt=row["attempt"],
            since=row["attempt_since"],
            ruling=Ruling(row["ruling_at"], row["ruling_event_id"] or "") if row["ruling_at"] else None,
            failures=row["failures"],
        ),
        submission=Submission(row["submission"]),
        account=row["account"],
        asked_mrn=row["mrn"],
        asked_start=row["starts_local"] if given is None else read_taken(given),
    )


def _written(row: Locked) -> dict[str, Any]:
    ruling, outcome = row.standing.ruling, row.outcome
    written: dict[str, Any] = {
        "id": row.id,
        "changed": row.changed,
        "status": row.standing.status,
        "failures": row.standing.failures,
        "attempt_since": row.standing.since,
        "submission": row.submission,
        "ruling_event_id": (ruling.event_id or None) if ruling else None,
        "ruling_at": ruling.occurred_at if ruling else None,
        "ruled": outcome is not None,
    }
    if outcome:
        written |= {
            "settled_at": outcome.settled_at,
            "learned_from": outcome.learned_from,
            "confirmation": outcome.confirmation,
            "starts_at": outcome.starts_at,
            "failure_category": outcome.failure_category,
            "failure": outcome.failure,
            "discrepancies": outcome.discrepancies,
        }
    return written
