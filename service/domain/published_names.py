"""Owns the names under which Cobalt publishes one and the same thing: by a webhook, by an event of EHR sync, in a row.

``tests/published_shapes.py`` says which capture of Cobalt's documentation has which of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Names = dict[str, tuple[str, ...]]

ENVELOPE: Names = {
    "id": ("id", "event_id"),
    "type": ("type", "event_type"),
    "created": ("created", "created_at"),
    "access_token_reference_id": ("access_token_reference_id",),
    "job_id": ("job_id",),
    "object": ("object",),
    "data": ("data",),
    "listed": ("listed",),
}
"""Ours, which are those of a webhook [S], and then those of the rows of ``GET /webhook-events`` [P]. What we make of an
entry of Cobalt's list has that entry beside it."""

DATA: Names = {
    "appointment_id": ("appointment_id", "id"),
    "mrn": ("mrn", "patient_mrn"),
    "date_time": ("date_time", "datetime"),
    "provider_id": ("provider_id", "provider_ehr_id"),
}
"""Ours, which are those of the seed [S], and then those of EHR sync [P]. The others have one name everywhere."""

WHOLE_EVENT = ("event", "body")
"""Where a row may hold the event as a whole; then that names what it says, and the row what it does not say."""


def as_envelope(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a row of ``GET /webhook-events``, in any published shape, as the webhook would have been written.

    Where and how it was delivered is left out: that is not what happened.
    """
    whole = next((row[name] for name in WHOLE_EVENT if isinstance(row.get(name), dict)), None)
    if whole is not None and not isinstance(row.get("data"), dict):
        row = {**row, **whole}
    said = {}
    for ours, names in ENVELOPE.items():
        for name in names:
            if (value := row.get(name)) is not None:
                said[ours] = value
                break
    return said
