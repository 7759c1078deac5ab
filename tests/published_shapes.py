"""Field by capture by source: where each published capture of Cobalt's documentation has what decides.

Written from ``cobalt-contract.md``, not from our reader. A cell is where the field stands and how it is written there;
None where the capture does not have it.
"""

from __future__ import annotations

from typing import Any

Cell = tuple[str, Any] | None

CAPTURES = {
    "seed": "a webhook of the Create Appointments page",
    "later": "a webhook of the later documentation",
    "sync": "a webhook of EHR sync",
    "row a": "GET /webhook-events, the event whole in its row",
    "row a flat": "GET /webhook-events, the event's fields beside the row's",
    "row b": "GET /webhook-events, the newest reference",
    "row c": "GET /webhook-events, with how it was delivered",
}
"""Each capture and its source."""

AT = "2025-03-01T12:00:00Z"
SAME = tuple(CAPTURES)
WEBHOOKS = ("seed", "later", "sync")
ROWS = ("row a", "row a flat", "row b", "row c")

FIELDS: dict[str, tuple[str, dict[str, Cell]]] = {
    # what we make of it: how it reads, and by capture: where it stands, as it is written
    "id": ("evt_1", {**dict.fromkeys(SAME, ("id", "evt_1")), "row b": ("event_id", "evt_1")}),
    "type": (
        "",
        {
            **dict.fromkeys((*WEBHOOKS, "row c"), ("type", "")),
            **dict.fromkeys(("row a", "row a flat", "row b"), ("event_type", "")),
        },
    ),
    "occurred_at": (AT, {**dict.fromkeys(SAME, ("created", AT)), "row b": ("created_at", AT)}),
    "account_reference": ("clinic_1", dict.fromkeys(SAME, ("access_token_reference_id", "clinic_1"))),
    "cobalt_job_id": (
        "17",
        {
            "seed": None,
            "later": ("job_id", 17),
            "sync": None,
            **dict.fromkeys(ROWS, ("job_id", "17")),
        },
    ),
    "cobalt_appointment_id": (
        "77",
        {
            **dict.fromkeys(SAME, ("data.appointment_id", "77")),
            "sync": ("data.id", "77"),
            "row a": ("event.data.appointment_id", "77"),
        },
    ),
    "mrn": (
        "4711",
        {
            **dict.fromkeys(SAME, ("data.mrn", "4711")),
            "later": ("data.mrn", 4711),
            "sync": ("data.patient_mrn", 4711),
            "row a": ("event.data.mrn", "4711"),
        },
    ),
}
"""What every event has."""

CREATED: dict[str, tuple[str, dict[str, Cell]]] = {
    "start": (
        "2025-03-03T17:00:00+00:00",
        {
            **dict.fromkeys(SAME, ("data.date_time", "2025-03-03T17:00:00Z")),
            "seed": ("data.date_time", "2025-03-03T17:00"),
            "sync": ("data.datetime", "2025-03-03T10:00:00-7:00"),
            "row a": ("event.data.date_time", "2025-03-03T17:00:00Z"),
        },
    ),
    "provider_name": (
        "Dr. Smith",
        {
            **dict.fromkeys(SAME, ("data.provider_name", "Dr. Smith")),
            "row a": ("event.data.provider_name", "Dr. Smith"),
        },
    ),
    "provider_id": (
        "p1",
        {**dict.fromkeys(SAME, ("data.provider_id", "p1")), "row a": ("event.data.provider_id", "p1"), "sync": None},
    ),
    "timezone": (
        "Etc/UTC",
        {
            **dict.fromkeys(SAME, ("data.timezone", "Etc/UTC")),
            "row a": ("event.data.timezone", "Etc/UTC"),
            "sync": None,
        },
    ),
}
"""What a confirmation has too."""

REASON = "Patient MRN '4711' not found in eCW."
FAILED: dict[str, tuple[str, dict[str, Cell]]] = {
    "reason": (
        REASON,
        {
            **dict.fromkeys(SAME, ("data.failure_reason", REASON)),
            "row a": ("event.data.failure_reason", REASON),
            "sync": None,  # it tells of no failures
        },
    ),
    "category": (
        "patient_not_found",
        {
            **dict.fromkeys(SAME, ("data.reasons", [{"code": "PATIENT_NOT_FOUND", "description": REASON}])),
            "row a": ("event.data.reasons", [{"code": "PATIENT_NOT_FOUND", "description": REASON}]),
            "seed": ("data.failure_reason", REASON),
            "sync": None,
        },
    ),
}
"""What a failure has too."""

BESIDE: dict[str, dict[str, Any]] = {
    "seed": {"object": "event"},
    "later": {"object": "event"},
    "sync": {"object": "event"},
    "row a": {},
    "row a flat": {"object": "event"},
    "row b": {"webhook_url": "https://a.example/hook?token=s3cret", "delivery_status": "failed"},
    "row c": {
        "object": "event",
        "status": "failed",
        "delivered": False,
        "delivery_attempts": 2,
        "last_delivery_attempt": "2025-03-01T12:00:02Z",
        "response_status_code": 503,
    },
}
"""What a capture has that decides nothing."""

REPLIES = {
    "the seed's example": {"success": True, "data": {"appointment_id": "77", "message": "Appointment processing."}},
    "the seed's schema": {"success": True, "message": "Appointment processing.", "data": {"appointment_id": "77"}},
    "at top level": {"success": True, "message": "Appointment processing.", "appointment_id": "77", "job_id": 17},
    "both under data": {"success": True, "message": "m", "data": {"appointment_id": "77", "job_id": 17}},
}
"""To a create."""

ERRORS: dict[str, tuple[int, dict[str, Any], str | None]] = {
    # status, body -> Cobalt's words; None where the account is refused
    "with success": (400, {"success": False, "message": "mrn is required"}, "mrn is required"),
    "without success": (400, {"message": "mrn is required"}, "mrn is required"),
    "named error": (400, {"error": "mrn is required"}, "mrn is required"),
    "login required": (403, {"error": "login_required"}, None),
    "login required, in full": (403, {"success": False, "message": "Log in", "error": "login_required"}, None),
}
"""To any call."""


def written(capture: str, kind: str, fields: dict[str, tuple[str, dict[str, Cell]]]) -> dict[str, Any]:
    """Write an event as a capture has it."""
    event: dict[str, Any] = {**BESIDE[capture]}
    for name, (_, cells) in fields.items():
        cell = cells[capture]
        if cell is not None:
            where, value = cell
            *parents, last = where.split(".")
            place = event
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = kind if name == "type" else value
    return event
