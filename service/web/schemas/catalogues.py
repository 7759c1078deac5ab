"""What goes out about catalogues, as marshmallow schemas."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate


def _entries(what: str, entry: type[Schema]) -> Any:  # noqa: ANN401 (marshmallow's)
    return fields.List(fields.Nested(entry), required=True, metadata={"description": what})


class ProviderOut(Schema):
    """A provider or a location."""

    id = fields.String(
        required=True, metadata={"description": "The id in the EHR, which requests name", "example": "99999"}
    )
    name = fields.String(required=True, allow_none=True, metadata={"description": "The name", "example": "Doe, John"})


class VisitTypeOut(Schema):
    """A visit type."""

    id = fields.String(
        required=True, metadata={"description": "The code, which requests name", "example": "new_patient"}
    )
    name = fields.String(
        required=True, allow_none=True, metadata={"description": "The name", "example": "New patient visit (in person)"}
    )


class CatalogueOut(Schema):
    """What the EHR of one account knows, as Cobalt listed it."""

    object = fields.String(required=True, validate=validate.OneOf(["catalogue"]), metadata={"example": "catalogue"})
    account = fields.String(required=True, metadata={"description": "Our name for the account", "example": "clinic_1"})
    fetched_at = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "format": "date-time",
            "description": "When it was fetched from Cobalt; null if never",
            "example": "2025-01-01T15:00:00Z",
        },
    )
    age_seconds = fields.Integer(
        required=True,
        allow_none=True,
        validate=validate.Range(0),
        metadata={"description": "The age of the catalogue", "example": 3600},
    )
    is_fresh = fields.Boolean(
        required=True,
        metadata={"description": "Whether it is recent enough to check requests against", "example": True},
    )
    preflight = fields.Boolean(
        required=True,
        metadata={"description": "Whether requests for the account are checked against it", "example": True},
    )
    problem = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why the last attempt to fetch it failed", "example": "Cobalt answered HTTP 503"},
    )
    providers = _entries("What `provider` and `secondary_provider` may name", ProviderOut)
    locations = _entries("What `location` may name", ProviderOut)
    visit_types = _entries("What `type` may name", VisitTypeOut)
