"""What Cobalt tells of patients beyond what anybody needs here, in every way that it can come: none of it is kept."""

from __future__ import annotations

import json
from typing import Any

NEVER_KEPT = {
    "a patient's name": "Zephyrine Quillfeather",
    "a date of birth": "1931-07-09",
    "a phone": "+1 555 019 8877",
    "an insurer": "Gryphon Mutual",
    "a member's number": "GM-55012-77",
    "a diagnosis": "Accentuated whimsy",
    "a medication": "Moonwort tincture",
    "a note about a patient": "Prefers the window seat",
}
"""The sandbox's list tells the same of everyone."""

PATIENT: dict[str, Any] = {
    "patient_name": "Zephyrine Quillfeather",
    "patient_date_of_birth": "1931-07-09",
    "patient_phone": "+1 555 019 8877",
    "insurance": {"payer": "Gryphon Mutual", "member_id": "GM-55012-77"},
    "diagnoses": [{"code": "Z73.1", "description": "Accentuated whimsy"}],
    "medications": ["Moonwort tincture"],
    "notes": "Prefers the window seat.",
}
FULL = PATIENT | {
    "patient": {"name": "Zephyrine Quillfeather", "dob": "1931-07-09"},
    "first_name": "Zephyrine Quillfeather",
}
ENTRY = {"id": "listed_1", "patient_mrn": "77", "datetime": "2025-01-01T15:00:00Z", "status": "scheduled", **FULL}


def events(account: str, appointment_id: str) -> dict[str, dict[str, Any]]:
    """Events of every kind, each with all of it; the first two settle the appointment."""
    about = {"appointment_id": appointment_id, "mrn": "77"}
    told: dict[str, tuple[str, Any]] = {
        "failed": ("appointment.failed", about | {"failure_reason": "No.", "conflict_details": [FULL]} | FULL),
        "created": ("appointment.created", about | {"date_time": "2025-01-01T10:00"} | FULL),
        "synced": ("appointment.created", {"id": "staff_1", "patient_mrn": 77, "datetime": "2025-01-01T10:00Z"} | FULL),
        "updated": ("appointment.updated", about | FULL),
        "fetched": ("appointment.live_fetch_completed", {"appointments": [ENTRY, ENTRY], "results": [FULL]} | FULL),
        "patient": ("patient.updated", {"id": "p1", "name": "Zephyrine Quillfeather", "mrn": "77"} | FULL),
        "insured": ("patient.insurance.added", {"text": "Gryphon Mutual", "any": ["Accentuated whimsy"]} | FULL),
        "noted": ("note.created", {"content": "Prefers the window seat.", "note_text": "1931-07-09"} | FULL),
        "unheard of": ("prescription.sent", {"text": "Moonwort tincture", "x": [{"y": "+1 555 019 8877"}]} | FULL),
        "without its appointment": ("appointment.created", {"mrn": "77"} | FULL),
        "without a type": ("", about | FULL),
    }  # fmt: skip
    envelope = {"object": "event", "created": "2025-01-01T12:00:00Z", "access_token_reference_id": account}
    return {
        name: envelope | {"id": f"evt_heard_{number}", "data": data, "extra": FULL} | ({"type": kind} if kind else {})
        for number, (name, (kind, data)) in enumerate(told.items())
    }


def bodies(account: str, appointment_id: str) -> list[bytes]:
    """The same as webhooks; and one that comes again with another body."""
    heard = events(account, appointment_id)
    again = heard["failed"] | {"data": heard["failed"]["data"] | {"failure_reason": "Yes."}}
    twice = (
        b'{"data":'
        + json.dumps(FULL).encode()
        + b',"id":"evt_twice","type":"appointment.failed","data":{"appointment_id":"x"}}'
    )
    return [*(json.dumps(one).encode() for one in (*heard.values(), again)), twice]


def heard_in(text: str) -> list[str]:
    """Name what of it stands in a text."""
    return [what for what, said in NEVER_KEPT.items() if said in text or said in text.replace("\\u002b", "+")]
