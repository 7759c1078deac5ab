"""Correct a failed request, or have it tried once more as it is. Either begins the next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.domain.request_fields import read_start, refuse_skipped
from service.domain.states import Status, begin_attempt
from service.domain.submission import Cause, allows, follow
from service.errors import ConflictError, NotFoundError
from service.postgres.models import Correction
from service.postgres.queries import appointments, events
from service.usecases.access.accounts import account_timezones
from service.usecases.access.catalogues import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from service.config import Settings
    from service.postgres.models import Appointment


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRequest:
    """What a person wants.

    Args:
        appointment_id: Ours.
        changes: Field -> new value, None to remove it; empty to try once more as it is.
        key_id: Whose API key it is.
        request_id: Of the API call.
        is_lenient: What the account's catalogue does not list is taken all the same.
    """

    appointment_id: str
    changes: dict[str, Any]
    key_id: str | None
    request_id: str
    is_lenient: bool = False


def correct(
    session: Session,
    settings: Settings,
    wanted: CorrectionRequest,
    *,
    check: Callable[[dict[str, Any]], dict[str, Any]],
    agree: Callable[[Appointment], None] = lambda _row: None,
) -> Appointment:
    """Begin the next attempt of a failed appointment; a worker takes it to Cobalt.

    Args:
        session: The caller's transaction.
        settings: For the account's zone.
        wanted: What to change.
        check: Validates the fields as they would be then, and returns them; raises when they are not good.
        agree: Called with the locked row, before anything else is asked of it; raises when the caller no longer wants
            this.

    Raises:
        NotFoundError: There is no such appointment.
        ConflictError: It is not failed; or Cobalt may still be busy with the attempt before.
        InvalidFieldsError: The account's clocks skip the start, or its catalogue does not list what it names.
    """
    row = appointments.lock_appointment(session, wanted.appointment_id)
    if row is None:
        raise NotFoundError("there is no appointment with this id")
    agree(row)
    if row.status != Status.FAILED:
        raise ConflictError(f"only a failed appointment can be corrected; this one is {row.status}")
    if not allows(row.submission, Cause.ASKED):
        raise ConflictError("a call to Cobalt is under way for this appointment; ask again when it is answered")
    request = check(_changed(row.request, wanted.changes))
    start = read_start(request)
    refuse_skipped(start, account_timezones(session, settings).get(row.account))
    if not wanted.is_lenient:
        refuse_unknown(session, settings, row.account, request)
    _write_down(session, row, wanted)
    _begin_attempt(session, row, wanted.request_id)
    row.request = request
    if row.mrn != request["mrn"]:
        row.former_mrns = sorted({*row.former_mrns, row.mrn})
    row.mrn, row.provider, row.type = request["mrn"], request["provider"], request["type"]
    row.starts_local, row.starts_at = start.local, start.at
    session.flush()
    return row


def _changed(request: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay changes over a request; a start given in the other form replaces the old form."""
    kept = dict(request)
    if changes.get("datetime") is not None:
        kept.pop("date", None)
        kept.pop("time", None)
    elif changes.get("date") is not None and changes.get("time") is not None:
        kept.pop("datetime", None)
    return {name: value for name, value in (kept | changes).items() if value is not None}


def _write_down(session: Session, row: Appointment, wanted: CorrectionRequest) -> None:
    session.add(
        Correction(
            appointment_id=row.id,
            attempt=row.attempt + 1,
            at=datetime.now(UTC),
            changes=wanted.changes,
            before={
                "failure": row.failure,
                "failure_category": row.failure_category,
                "request": {name: row.request.get(name) for name in wanted.changes},
            },
            key_id=wanted.key_id,
            request_id=wanted.request_id,
        )
    )


def _begin_attempt(session: Session, row: Appointment, request_id: str) -> None:
    now = datetime.now(UTC)
    standing = begin_attempt(appointments.as_locked(row).standing)
    if row.ruling_event_id:
        events.supersede(session, [row.ruling_event_id])
    row.status, row.attempt, row.attempt_since = standing.status.value, standing.attempt, standing.since
    row.ruling_event_id = row.ruling_at = None
    row.failures = standing.failures
    row.failure = row.failure_category = row.settled_at = row.learned_from = None
    row.discrepancies, row.candidates = [], []
    row.submission = follow(row.submission, Cause.ASKED)
    row.tries, row.asks, row.last_error = 0, 0, None
    row.accepted_at = None
    row.due_at = row.updated_at = row.requested_at = now
    row.version += 1
    row.request_id = request_id
