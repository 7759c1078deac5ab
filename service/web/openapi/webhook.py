"""The address to which Cobalt sends events. Flask does not serve it, so it is described by hand."""

from __future__ import annotations

from typing import Any

from service.domain.events import KINDS
from service.domain.states import Disposition
from service.web.openapi.parts import headers, problem_name

Json = dict[str, Any]

TAG = {"name": "webhooks", "description": "What Cobalt sends"}

_CREATED: Json = {
    "id": "evt_123",
    "access_token_reference_id": "clinic_1",
    "object": "event",
    "created": "2025-01-01T10:00:00Z",
    "type": "appointment.created",
    "data": {
        "appointment_id": "123456790",
        "mrn": "123456789",
        "date_time": "2025-01-01T10:00",
        "timezone": "America/New_York",
        "provider_id": "emr_prov_123",
        "provider_name": "Dr. Smith",
        "secondary_provider_id": None,
    },
}
_FAILED: Json = _CREATED | {
    "id": "evt_124",
    "type": "appointment.failed",
    "data": {
        "appointment_id": "123456790",
        "mrn": "123456789",
        "failure_reason": "Patient MRN '123456789' not found in eCW",
    },
}

SCHEMAS: dict[str, Json] = {
    "CobaltEvent": {
        "type": "object",
        "description": "Cobalt's envelope. A signed body of another shape is kept too, in quarantine.",
        "required": ["id", "type", "data"],
        "properties": {
            "id": {"type": "string", "description": "Stays the same when the event is sent again"},
            "access_token_reference_id": {"type": "string", "description": "The linked EHR account"},
            "object": {"type": "string", "description": "`event`"},
            "created": {"type": "string", "description": "When it happened, on Cobalt's clock"},
            "type": {
                "type": "string",
                "description": f"{', '.join(f'`{name}`' for name in KINDS)}; others are ignored",
            },
            "data": {"type": "object", "description": "What happened"},
        },
    },
    "Taken": {
        "type": "object",
        "required": ["event_id", "disposition"],
        "properties": {
            "event_id": {"type": ["string", "null"], "description": "Null if it could not be read"},
            "disposition": {
                "type": "string",
                "enum": [one.value for one in Disposition],
                "description": "What became of it",
            },
        },
    },
}


STATUSES = (400, 401, 404, 413, 503)
"""How a webhook may be refused; 404 where webhooks are switched off."""


def _taken(description: str, disposition: str) -> Json:
    return {
        "description": description,
        "headers": headers("X-Request-Id"),
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Taken"},
                "example": {"event_id": "evt_123", "disposition": disposition},
            }
        },
    }


OPERATION: Json = {
    "tags": ["webhooks"],
    "operationId": "takeWebhook",
    "summary": "Take an event from Cobalt.",
    "description": "For Cobalt only. The answer comes within two seconds. It is 2xx only if the event is on disk, and "
    "4xx only if it is not from Cobalt. Events may come repeatedly and in any order.",
    "security": [{"signature": []}],
    "parameters": [{"$ref": "#/components/parameters/X-Request-Id"}],
    "requestBody": {
        "description": "The content type does not matter. A body that is not an event is quarantined, and so is a "
        "different body under the id of a known event.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"$ref": "#/components/schemas/CobaltEvent"}, {}]},
                "examples": {"created": {"value": _CREATED}, "failed": {"value": _FAILED}},
            }
        },
    },
    "responses": {
        "200": _taken("Applied, or there was nothing to do.", "applied"),
        "202": _taken("Kept for later: in quarantine, or on local disk.", "spooled"),
        **{str(status): {"$ref": f"#/components/responses/{problem_name(status)}"} for status in STATUSES},
    },
}
