"""What the document's schemas say beside their fields: rules among several fields, and examples that hang together."""

from __future__ import annotations

from typing import Any

from service.api.schemas import APPOINTMENT_ID
from service.request_schema import STORABLE

_EXAMPLE = {
    "mrn": "123456789",
    "location": "123456789",
    "date": "2025-01-01",
    "time": "10:00",
    "provider": "Dr. Smith",
    "type": "new_patient",
    "metadata": {"order": "o-17"},
}
_GIVEN, _LEFT_OUT = {"type": "string"}, {"type": "null"}

_OBJECT: dict[str, Any] = {
    "type": "object",
    "propertyNames": {"pattern": STORABLE},
    "additionalProperties": {"$ref": "#/components/schemas/Storable"},
}
_STORABLE: dict[str, Any] = {
    "description": "JSON that can be kept: no text in it contains NUL.",
    "anyOf": [
        {"type": ["null", "boolean", "number"]},
        {"type": "string", "pattern": STORABLE},
        {"type": "array", "items": {"$ref": "#/components/schemas/Storable"}},
        _OBJECT,
    ],
    "examples": ["o-17"],
}
_APPOINTMENT: dict[str, Any] = {
    "object": "appointment",
    "id": APPOINTMENT_ID,
    "account": "clinic_1",
    "status": "failed",
    "attempt": 1,
    "cobalt_appointment_id": "123456790",
    "cobalt_job_id": None,
    "request": {
        "mrn": "***89",
        "location": "123456789",
        "date": "2025-01-01",
        "time": "10:00",
        "provider": "Dr. Smith",
        "secondary_provider": None,
        "type": "new_patient",
    },
    "submission": {
        "state": "accepted",
        "tries": 1,
        "last_error": None,
        "candidates": [],
        "accepted_at": "2024-12-20T09:30:01.123456Z",
    },
    "confirmation": None,
    "failure": {
        "category": "patient_not_found",
        "reason": "Patient MRN '***89' not found in eCW",
        "details": {},
        "occurred_at": "2024-12-20T09:34:00Z",
        "remedy": {"fields": ["mrn"], "action": "correct"},
    },
    "overdue": False,
    "conflicts": 0,
    "discrepancies": [],
    "metadata": {"order": "o-17"},
    "created_at": "2024-12-20T09:30:00.123456Z",
    "updated_at": "2024-12-20T09:34:01.123456Z",
    "settled_at": "2024-12-20T09:34:01.123456Z",
    "version": 3,
}

RULES: dict[str, dict[str, Any]] = {
    "Storable": _STORABLE,
    "AppointmentIn": {
        "properties": {"metadata": _OBJECT},
        "anyOf": [
            {
                "required": ["date", "time"],
                "properties": {"date": _GIVEN, "time": _GIVEN, "datetime": _LEFT_OUT},
            },
            {
                "required": ["datetime"],
                "properties": {"datetime": _GIVEN, "date": _LEFT_OUT, "time": _LEFT_OUT},
            },
        ],
        "examples": [_EXAMPLE],
    },
    "CorrectionIn": {
        "minProperties": 1,
        # A start is given in one form, and what is null is not given.
        "not": {
            "required": ["datetime"],
            "properties": {"datetime": _GIVEN},
            "anyOf": [
                {"required": ["date"], "properties": {"date": _GIVEN}},
                {"required": ["time"], "properties": {"time": _GIVEN}},
            ],
        },
        "examples": [{"mrn": "123456780"}],
    },
    "AppointmentOut": {"examples": [_APPOINTMENT]},
    "ListedAppointmentOut": {"examples": [_APPOINTMENT]},
}
"""By the name of the component; laid over what flask-smorest made of the fields."""
