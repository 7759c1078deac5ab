"""Queries that hand out calls to Cobalt and write down how they went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, text, update

from service.domain.submission import CallOutcome, Cause, Submission, follow
from service.postgres.conditions import IS_QUEUED
from service.postgres.models import Call
from service.postgres.queries.due import counting, granted, selecting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make one call to Cobalt, until the lease ends.

    Args:
        cobalt_appointment_id: Known when this is a correction.
        tries: The number of this call within its attempt, from 1.
        accepted_request: What Cobalt has taken already, where this is a correction.
        request_id: Of the API call that asked for this, for the log.
    """

    appointment_id: str
    account: str
    attempt: int
    tries: int
    cobalt_appointment_id: str | None
    request: dict[str, Any]
    accepted_request: dict[str, Any] | None
    sent_at: datetime
    request_id: str

    @property
    def operation(self) -> str:
        """``correct`` when Cobalt knows the appointment, else ``create``."""
        return "correct" if self.cobalt_appointment_id else "create"


COUNT_QUEUED = counting(IS_QUEUED)
"""Counts what waits to be sent; for ``count_due``."""

_CLAIM = text(f"""
WITH due AS ({selecting(IS_QUEUED)})
UPDATE appointments a SET
  submission = '{follow(Submission.QUEUED, Cause.CLAIMED)}', tries = a.tries + 1, sent_at = :now,
  lease_until = :lease_until, due_at = :lease_until, updated_at = :now, version = a.version + 1
FROM due WHERE a.id = due.id
RETURNING a.id AS appointment_id, a.account, a.attempt, a.tries, a.cobalt_appointment_id, a.request,
  a.accepted_request, a.sent_at,
  a.request_id
""")  # noqa: S608 (constants)

_LOST = f"submission = '{Submission.SENDING}' AND lease_until < :now"

_EXPIRE = text(f"""
WITH lost AS (
  SELECT id FROM appointments WHERE {_LOST}
  ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE appointments a SET
  submission = '{follow(Submission.SENDING, Cause.LOST)}', lease_until = NULL, last_error = :error,
  due_at = :now, updated_at = :now, version = a.version + 1
FROM lost WHERE a.id = lost.id
RETURNING a.id, a.attempt, a.tries
""")  # noqa: S608 (constants)

# Without an end: the reply may come yet, and is then written down in its place.
_LOSE = text(f"""
UPDATE submissions SET outcome = '{CallOutcome.LOST}', error = :error
WHERE appointment_id = :appointment_id AND attempt = :attempt AND try = :tries
""")  # noqa: S608 (constants)


def claim(
    session: Session,
    *,
    allowed: Mapping[str, int],
    now: datetime,
    lease_until: datetime,
    although_held: bool = False,
) -> list[Claim]:
    """Claim due submissions, each for one call, and write the calls down as begun.

    Args:
        session: In which transaction.
        allowed: Account -> how many of it at most.
        now: On our clock.
        lease_until: Until when nobody else will believe that the call was lost.
        although_held: Whether to claim of accounts that may not be called too: who does has the right to try them.
    """
    asked = granted(allowed, now, although_held=although_held)
    rows = session.execute(_CLAIM, asked | {"lease_until": lease_until})
    claims = [Claim(**row) for row in rows.mappings()]
    if claims:
        session.execute(
            insert(Call),
            [
                {
                    "appointment_id": one.appointment_id,
                    "attempt": one.attempt,
                    "try_": one.tries,
                    "operation": one.operation,
                    "began_at": now,
                }
                for one in claims
            ],
        )
    return claims


def find_expired(session: Session, *, now: datetime) -> list[str]:
    """Find the ids at Cobalt of corrections whose call's lease has run out; their locks come before the rows'."""
    return list(
        session.scalars(
            text(f"SELECT cobalt_appointment_id FROM appointments WHERE {_LOST} AND cobalt_appointment_id IS NOT NULL"),  # noqa: S608 (constants)
            {"now": now},
        )
    )


def expire_leases(session: Session, *, now: datetime, error: str) -> list[str]:
    """Make calls whose worker was lost ``unconfirmed``: nobody knows whether Cobalt took them.

    Args:
        now: On our clock.
        error: What the row says about it.
    """
    lost = session.execute(_EXPIRE, {"now": now, "error": error}).all()
    for appointment_id, attempt, tries in lost:
        call = {"appointment_id": appointment_id, "attempt": attempt, "tries": tries}
        session.execute(_LOSE, call | {"error": error})
    return [appointment_id for appointment_id, _, _ in lost]


def write_down(
    session: Session,
    one: Claim,
    *,
    outcome: CallOutcome,
    cobalt_id: str | None,
    http_status: int | None,
    error: str | None,
    now: datetime,
) -> None:
    """Write down how a claimed call went."""
    session.execute(
        update(Call)
        .where(
            Call.appointment_id == one.appointment_id,
            Call.attempt == one.attempt,
            Call.try_ == one.tries,
        )
        .values(outcome=outcome, cobalt_appointment_id=cobalt_id, http_status=http_status, error=error, ended_at=now)
    )
