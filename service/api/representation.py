"""How rows look to a caller; patients' data is masked for callers without the scope ``phi``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.failures import REMEDIES, Category
from service.masking import mask_json, mask_mrn, mask_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.models import Appointment, Correction, Delivery, Event, Quarantined, Submission
    from service.store.appointment_views import AppointmentRow, History

ALWAYS_SHOWN = ("mrn", "location", "date", "time", "provider", "secondary_provider", "type", "note")
FREE_TEXT = ("note", "reason")
"""Fields of a request that may say anything about a patient: absent without ``phi``."""


def appointment(row: Appointment | AppointmentRow, *, unmasked: bool, overdue_before: datetime) -> dict[str, Any]:
    """Show an appointment.

    Args:
        row: The row.
        unmasked: Whether the caller sees patients' data.
        overdue_before: What was asked for earlier than this and still processes is overdue.
    """
    mrns = _mrns(row)
    return {
        "object": "appointment",
        "id": row.id,
        "account": row.account,
        "status": row.status,
        "attempt": row.attempt,
        "cobalt_appointment_id": row.cobalt_appointment_id,
        "cobalt_job_id": row.cobalt_job_id,
        "request": _request(row.request, unmasked=unmasked),
        "submission": {
            "state": row.submission,
            "tries": row.tries,
            "last_error": row.last_error,
            "candidates": row.candidates,
            "accepted_at": _time(row.accepted_at),
        },
        "confirmation": _confirmation(row.confirmation),
        "failure": _failure(row, mrns, unmasked=unmasked),
        "overdue": row.status == "processing" and row.requested_at < overdue_before,
        "conflicts": row.failures if row.status == "created" else 0,
        "discrepancies": row.discrepancies,
        "metadata": row.details if unmasked or not row.details else mask_json(row.details, mrns),
        "created_at": _time(row.created_at),
        "updated_at": _time(row.updated_at),
        "settled_at": _time(row.settled_at),
        "version": row.version,
    }


def timeline(history: History, *, unmasked: bool) -> list[dict[str, Any]]:
    """Show everything that happened to an appointment, in order."""
    row = history.appointment
    events = {event.id: event for event in history.events}
    mrns = _all_mrns(history)
    entries = [
        {"at": row.created_at, "kind": "requested", "source": "person", "attempt": 1, "details": {}},
        *(_correction(one, mrns, unmasked=unmasked) for one in history.corrections),
        *(_submission(one) for one in history.submissions),
        *(_delivery(one, events[one.event_id], mrns, unmasked=unmasked) for one in history.deliveries),
    ]
    entries.sort(key=lambda entry: entry["at"])
    return [entry | {"at": _time(entry["at"])} for entry in entries]


def quarantined(row: Quarantined, *, content: bool = False) -> dict[str, Any]:
    """Show a record of the quarantine.

    Args:
        row: The row.
        content: Whether to show the bytes: nobody can say what is in them, so masking is no use.
    """
    shown = {
        "id": row.id,
        "received_at": _time(row.received_at),
        "source": row.source,
        "reason": row.reason,
        "size": len(row.raw),
        "deliveries": row.deliveries,
        "replayed_at": _time(row.replayed_at),
        "event_id": row.event_id,
    }
    return shown | ({"content": row.raw.decode("utf-8", "backslashreplace")} if content else {})


def _submission(one: Submission) -> dict[str, Any]:
    return {
        "at": one.began_at,
        "kind": "submission",
        "source": "worker",
        "attempt": one.attempt,
        "details": {
            "operation": one.operation,
            "try": one.try_,
            "outcome": one.outcome,
            "http_status": one.http_status,
            "error": one.error,
            "ended_at": _time(one.ended_at),
        },
    }


def _correction(one: Correction, mrns: Iterable[str], *, unmasked: bool) -> dict[str, Any]:
    failure = one.before["failure"] or {}
    details = {
        "changes": one.changes,
        "before": one.before["request"],
        "failure": {"category": one.before["failure_category"], "reason": failure.get("reason")},
        "key_id": one.key_id,
        "request_id": one.request_id,
    }
    return {
        "at": one.at,
        "kind": "correction" if one.changes else "resubmission",
        "source": "person",
        "attempt": one.attempt,
        "details": details if unmasked else mask_json(_without_free_text(details), mrns),
    }


def _without_free_text(details: dict[str, Any]) -> dict[str, Any]:
    hidden = {
        part: {name: value for name, value in details[part].items() if name not in FREE_TEXT}
        for part in ("changes", "before")
    }
    return details | hidden


def _delivery(one: Delivery, event: Event, mrns: Iterable[str], *, unmasked: bool) -> dict[str, Any]:
    data = event.payload.get("data")
    return {
        "at": one.received_at,
        "kind": "delivery" if one.disposition == "duplicate" else "event",
        "source": one.source,
        "event_id": event.id,
        "disposition": one.disposition,
        "details": {
            "type": event.type,
            "occurred_at": _time(event.occurred_at),
            "disposition_now": event.disposition,
            "data": data if unmasked else mask_json(data, mrns),
        },
    }


def _request(request: dict[str, Any], *, unmasked: bool) -> dict[str, Any]:
    shown = dict.fromkeys(ALWAYS_SHOWN) | request
    if unmasked:
        return shown
    return {name: value for name, value in shown.items() if name not in FREE_TEXT} | {"mrn": mask_mrn(request["mrn"])}


def _confirmation(kept: dict[str, Any] | None) -> dict[str, Any] | None:
    if kept is None:
        return None
    starts_at = kept["starts_at"]
    return kept | {"starts_at": starts_at and _time(datetime.fromisoformat(starts_at))}


def _failure(row: Appointment | AppointmentRow, mrns: Iterable[str], *, unmasked: bool) -> dict[str, Any] | None:
    kept = row.failure
    if kept is None:
        return None
    category = Category(row.failure_category or Category.OTHER)
    remedy = REMEDIES[category]
    return {
        "category": category.value,
        "reason": kept["reason"] if unmasked else mask_text(kept["reason"], mrns),
        "details": kept["details"] if unmasked else mask_json(kept["details"], mrns),
        "occurred_at": _time(datetime.fromisoformat(kept["occurred_at"])),
        "remedy": {"fields": list(remedy.fields), "action": remedy.action},
    }


def _mrns(row: Appointment | AppointmentRow) -> list[str]:
    """Name every MRN that a text about this appointment may contain: as asked for now, as before, as Cobalt said."""
    said = (row.failure or {}).get("mrn")
    return [row.mrn, *row.former_mrns, *([said] if said else [])]


def _all_mrns(history: History) -> list[str]:
    """Name also those that Cobalt said in any attempt."""
    said = [event.payload.get("data") for event in history.events]
    mrns = [data.get("mrn") for data in said if isinstance(data, dict)]
    return _mrns(history.appointment) + [mrn for mrn in mrns if isinstance(mrn, str) and mrn]


def _time(value: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None
