"""What the document's schemas say beside their fields: rules among several fields, and examples that hang together."""

from __future__ import annotations

from typing import Any

from service.domain.submission import Submission

_EXAMPLE = {
    "mrn": "123456789",
    "location": "123456789",
    "date": "2025-01-01",
    "time": "10:00",
    "provider": "Dr. Smith",
    "type": "new_patient",
    "metadata": {"order": "o-17"},
}
_GIVEN = {"type": "string"}
_LEFT_OUT = {"type": "null", "description": "Given in the other form"}

_FAILED: dict[str, Any] = {
    "status": "failed",
    "attempt": 1,
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
        "state": Submission.ACCEPTED.value,
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
    "discrepancies": [],
    "created_at": "2024-12-20T09:30:00.123456Z",
    "updated_at": "2024-12-20T09:34:01.123456Z",
    "settled_at": "2024-12-20T09:34:01.123456Z",
}

RULES: dict[str, dict[str, Any]] = {
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
}
"""By the name of the component; laid over what flask-smorest made of the fields."""

EXAMPLES = {"AppointmentOut": _FAILED, "ListedAppointmentOut": _FAILED}
"""By the name of the component; laid over the example that is made from those of its fields."""


def alternatives(request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Split a request into its two forms, each whole: generators take what alternatives have in common for nothing.

    Args:
        request: The schema of all its fields.

    Returns:
        The components by name: the request, and its forms.
    """
    forms = {
        "AppointmentByDateAndTime": _form(request, "A request with `date` and `time`.", given=("date", "time")),
        "AppointmentByDatetime": _form(request, "A request with a start with offset.", given=("datetime",)),
    }
    either = [{"$ref": f"#/components/schemas/{name}"} for name in forms]
    return forms | {
        "AppointmentIn": {
            "description": "A request for an appointment, which gives its start in one of two forms.",
            "anyOf": either,
            "examples": [_EXAMPLE],
        }
    }


def _form(request: dict[str, Any], description: str, *, given: tuple[str, ...]) -> dict[str, Any]:
    fields = dict(request["properties"])
    for name in ("date", "time", "datetime"):
        fields[name] = fields[name] | _GIVEN if name in given else _LEFT_OUT
    required = sorted([*request["required"], *given])
    return request | {"description": description, "properties": fields, "required": required}
