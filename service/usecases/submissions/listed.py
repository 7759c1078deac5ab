"""Entries of Cobalt's list of appointments [P]: seen as evidence, or written as the events that were missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.domain.event_bodies import Unreadable
from service.domain.events import event_from
from service.domain.evidence import Evidence, from_event
from service.domain.times import occurred_at
from service.telemetry import log

if TYPE_CHECKING:
    from service.postgres.queries.asking import Question

FAILED = "failed"
NOT_BOOKED = frozenset({"pending", FAILED, "processing", "queued", "error", "rejected"})
"""Cobalt's words in its list [P] for what is not, or not yet, in the EHR; an EHR has words of its own for the rest."""
LISTED_AS_FAILED = "Cobalt lists this appointment as failed; the event that says why did not come."

logger = log.get_logger(__name__)


def evidence_of(entry: dict[str, Any]) -> Evidence | None:
    """See an entry of Cobalt's list [P] as evidence.

    None for what Cobalt's robots did not make, and for what cannot be read.
    """
    source = entry.get("object_metadata")
    if isinstance(source, dict) and source.get("source") not in {None, "cobalt_operation"}:
        return None
    # The reader of events knows every form of ids and times.
    now = datetime.now(UTC)
    try:
        event = event_from(_created_event(entry, now), received_at=now)
    except Unreadable as unreadable:
        logger.error("an entry of Cobalt's list cannot be read", problem=str(unreadable))  # noqa: TRY400
        return None
    seen = from_event(event)
    return seen and replace(seen, at=occurred_at(entry.get("created_at")))


def _created_event(entry: dict[str, Any], now: datetime, *, zone: str | None = None) -> dict[str, Any]:
    """Write an entry of Cobalt's list as the event that was missed.

    It is dated now, so that the real event, should it still come, is the earlier one and decides. The list names
    no zone [P]; with the account's the start can be compared with a wall clock.
    """
    return {
        "id": f"list_{entry.get('id')}",
        "object": "event",
        "created": now.isoformat(),
        "type": "appointment.created",
        "data": {
            "appointment_id": entry.get("id"),
            "mrn": entry.get("patient_mrn"),
            "date_time": entry.get("datetime"),
            "timezone": zone,
            "provider_id": entry.get("provider_ehr_id"),
            "provider_name": entry.get("provider_name"),
        },
        "listed": entry,
    }


def listed_event(
    entry: dict[str, Any], now: datetime, question: Question, *, zone: str | None
) -> dict[str, Any] | None:
    """Write an entry of Cobalt's list as the event that was missed; None where it says nothing yet."""
    status = status_of(entry)
    if status == FAILED:
        return {
            "id": f"list_{entry.get('id')}_failed_{question.sent_at.isoformat()}",
            "object": "event",
            "created": now.isoformat(),
            "type": "appointment.failed",
            "data": {
                "appointment_id": entry.get("id"),
                "mrn": entry.get("patient_mrn"),
                "failure_reason": LISTED_AS_FAILED,
            },
            "listed": entry,
        }
    if status in NOT_BOOKED:
        return None
    return _created_event(entry, now, zone=zone)


def status_of(entry: dict[str, Any]) -> str:
    """Return an entry's status as it is compared."""
    return str(entry.get("status", "")).strip().casefold()
