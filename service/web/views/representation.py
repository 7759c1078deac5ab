"""How rows look to a caller; patients' data is masked for callers without the scope ``phi``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from service.domain.failures import REMEDIES, Category
from service.domain.masking import know, know_named, mask_json, mask_mrn, mask_text

if TYPE_CHECKING:
    from service.domain.masking import Known
    from service.postgres.models import Appointment, Quarantined
    from service.postgres.queries.appointment_views import AppointmentRow

ALWAYS_SHOWN = ("mrn", "location", "date", "time", "provider", "secondary_provider", "type", "note")
FREE_TEXT = ("note", "reason")
"""Fields of a request that may say anything about a patient: absent without ``phi``."""
FIXED_FORM = frozenset({"date", "time", "datetime", "new_patient", "prevent_double_booking", "duration"})
"""Fields of a request whose form leaves no room for an MRN; digits that happen to be the same tell nothing."""


def appointment(row: Appointment | AppointmentRow, *, unmasked: bool, overdue_before: datetime) -> dict[str, Any]:
    """Show an appointment.

    Ids are shown as they are, also without ``phi``: they are what callers, Cobalt and logs find it by.

    Args:
        row: The row.
        unmasked: Whether the caller sees patients' data.
        overdue_before: What was asked for earlier than this and still processes is overdue.
    """
    known = know(()) if unmasked else hidden(row)
    return {
        "object": "appointment",
        "id": row.id,
        "account": row.account,
        "status": row.status,
        "attempt": row.attempt,
        "cobalt_appointment_id": row.cobalt_appointment_id,
        "cobalt_job_id": row.cobalt_job_id,
        "request": _request(row.request, known, unmasked=unmasked),
        "submission": {
            "state": row.submission,
            "tries": row.tries,
            "last_error": mask_text(row.last_error, known) if row.last_error and not unmasked else row.last_error,
            "candidates": row.candidates,
            "accepted_at": time_text(row.accepted_at),
        },
        "confirmation": _confirmation(row.confirmation, known, unmasked=unmasked),
        "failure": _failure(row, known, unmasked=unmasked),
        "overdue": row.status == "processing" and row.requested_at < overdue_before,
        "conflicts": row.failures if row.status == "created" else 0,
        "discrepancies": row.discrepancies,
        "metadata": _metadata(row, known, unmasked=unmasked),
        "created_at": time_text(row.created_at),
        "updated_at": time_text(row.updated_at),
        "settled_at": time_text(row.settled_at),
        "version": row.version,
    }


def _metadata(row: Appointment | AppointmentRow, known: Known, *, unmasked: bool) -> Any:  # noqa: ANN401 (JSON)
    given = row.details if row.details_as_given is None else row.details_as_given
    return given if unmasked or not given else mask_json(given, known)


def quarantined(row: Quarantined, *, content: bool = False) -> dict[str, Any]:
    """Show a record of the quarantine.

    Args:
        row: The row.
        content: Whether to show the bytes: nobody can say what is in them, so masking is no use.
    """
    shown = {
        "id": row.id,
        "received_at": time_text(row.received_at),
        "source": row.source,
        "reason": row.reason,
        "size": len(row.raw),
        "deliveries": row.deliveries,
        "replayed_at": time_text(row.replayed_at),
        "event_id": row.event_id,
        "contradicts": row.contradicts,
        "dismissed_at": time_text(row.dismissed_at),
        "decided_by": row.decided_by,
    }
    if not content:
        return shown
    # Digests too: who knows all of it but the MRN could find that by trying.
    return shown | {
        "content": row.raw.decode("utf-8", "backslashreplace"),
        "said_digest": row.said_digest and row.said_digest.hex(),
        "recorded_digest": row.recorded_digest and row.recorded_digest.hex(),
    }


def _request(request: dict[str, Any], known: Known, *, unmasked: bool) -> dict[str, Any]:
    shown = dict.fromkeys(ALWAYS_SHOWN) | request
    if unmasked:
        return shown
    return masked_request(shown | {"mrn": None}, known) | {"mrn": mask_mrn(request["mrn"])}


def masked_request(fields: dict[str, Any], known: Known) -> dict[str, Any]:
    """Mask fields of a request: an MRN may be repeated in any that takes more than a fixed form."""
    return {
        name: value if name in FIXED_FORM or value is None else mask_text(value, known)
        for name, value in fields.items()
        if name not in FREE_TEXT
    }


def _confirmation(kept: dict[str, Any] | None, known: Known, *, unmasked: bool) -> dict[str, Any] | None:
    if kept is None:
        return None
    starts_at = kept["starts_at"]
    # Cobalt's text of the start is a time, unless it could not be read as one.
    plain = {"starts_at"} | ({"date_time"} if starts_at else set())
    shown = {
        name: value if unmasked or value is None or name in plain else mask_text(value, known)
        for name, value in kept.items()
    }
    return shown | {"starts_at": starts_at and time_text(datetime.fromisoformat(starts_at))}


def _failure(row: Appointment | AppointmentRow, known: Known, *, unmasked: bool) -> dict[str, Any] | None:
    kept = row.failure
    if kept is None:
        return None
    category = Category(row.failure_category or Category.OTHER)
    remedy = REMEDIES[category]
    return {
        "category": category.value,
        "reason": kept["reason"] if unmasked else mask_text(kept["reason"], known),
        "details": kept["details"] if unmasked else mask_json(kept["details"], known),
        "occurred_at": time_text(datetime.fromisoformat(kept["occurred_at"])),
        "remedy": {"fields": list(remedy.fields), "action": remedy.action},
    }


def hidden(row: Appointment | AppointmentRow) -> Known:
    """Make ready what a text about this appointment must not show to a caller without ``phi``.

    Every MRN: as asked for now, as before, as Cobalt said; and free texts and names, which other texts may repeat.
    """
    failure = row.failure or {}
    mrns = [row.mrn, *row.former_mrns, *([failure["mrn"]] if failure.get("mrn") else [])]
    texts = [row.request[name] for name in FREE_TEXT if name in row.request]
    return know(dict.fromkeys(mrns), texts).joined(know_named(failure.get("details"), row.details))


def time_text(value: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC; orjson takes a third of the time of the standard library."""
    return orjson.dumps(value.astimezone(UTC), option=orjson.OPT_UTC_Z)[1:-1].decode() if value else None
