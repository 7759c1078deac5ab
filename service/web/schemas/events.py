"""What goes in and out of the list of events, as marshmallow schemas."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from service.domain.arrivals import Source
from service.domain.states import Disposition
from service.requests.schema import storable
from service.requests.strict import StrictSchema
from service.web.schemas.appointments import APPOINTMENT_ID, CURSOR, MOST_PER_PAGE
from service.web.schemas.instants import Instant

KEPT = [disposition.value for disposition in (
    Disposition.APPLIED, Disposition.SUPERSEDED, Disposition.UNMATCHED, Disposition.IGNORED, Disposition.NOTED
)]  # fmt: skip
"""What can have become of an event; the others are answers to deliveries."""


WAITED_FOR = ("appointment", "attempt", "account")
"""What an unmatched event can wait for."""


class EventsQuery(StrictSchema):
    """The filters and the page of a list of events."""

    disposition = fields.String(validate=validate.OneOf(KEPT), metadata={"description": "What became of it"})
    source = fields.String(
        validate=validate.OneOf([source.value for source in Source]), metadata={"description": "How it first arrived"}
    )
    type = fields.String(
        validate=storable, metadata={"description": "Cobalt's name of the type", "example": "appointment.failed"}
    )
    cobalt_appointment_id = fields.String(
        validate=storable, metadata={"description": "The appointment's id at Cobalt", "example": "123456790"}
    )
    appointment_id = fields.String(
        validate=storable,
        metadata={"description": "Our id of the appointment that it belongs to", "example": APPOINTMENT_ID},
    )
    of_another_account = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Whether they wait because the appointment that they name belongs to another account"},
    )
    received_from = Instant(metadata={"description": "Only those received at this time or later"})
    received_to = Instant(metadata={"description": "Only those received before this time"})
    limit = fields.Integer(
        load_default=50,
        validate=validate.Range(1, MOST_PER_PAGE),
        metadata={"description": "The most events on a page", "example": 20},
    )
    cursor = fields.String(
        metadata={"description": "`next_cursor` of the previous page; it carries the filters", "example": CURSOR}
    )


class EventOut(Schema):
    """What Cobalt said, once for each of its event ids."""

    object = fields.String(required=True, validate=validate.Equal("event"))
    id = fields.String(required=True, metadata={"description": "Cobalt's", "example": "evt_123"})
    type = fields.String(
        required=True, metadata={"description": "Cobalt's name of the type of event", "example": "appointment.failed"}
    )
    disposition = fields.String(
        required=True, validate=validate.OneOf(KEPT), metadata={"description": "What became of it"}
    )
    source = fields.String(
        required=True,
        validate=validate.OneOf([source.value for source in Source]),
        metadata={"description": "How it first arrived"},
    )
    account_reference = fields.String(
        required=True, allow_none=True, metadata={"description": "The linked EHR account, as Cobalt names it"}
    )
    waits_for = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(WAITED_FOR),
        metadata={
            "description": "What an unmatched event waits for: `appointment`, to become known; `attempt`, for Cobalt "
            "to accept the latest correction; `account`, for a person to decide whether the account is the right one"
        },
    )
    repeats = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The earlier event that reported the same outcome under another id; the two count once",
            "example": "evt_122",
        },
    )
    cobalt_appointment_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The appointment's id at Cobalt", "example": "123456790"},
    )
    appointment_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Our id of the appointment that it belongs to", "example": APPOINTMENT_ID},
    )
    mrn = fields.String(
        required=True, allow_none=True, metadata={"description": "Masked without the scope `phi`", "example": "***89"}
    )
    occurred_at = fields.String(required=True, metadata={"description": "On Cobalt's clock", "format": "date-time"})
    received_at = fields.String(required=True, metadata={"description": "On our clock", "format": "date-time"})
    age_seconds = fields.Integer(
        required=True, allow_none=True, metadata={"description": "How long it has waited, if it is unmatched"}
    )
    data = fields.Raw(
        required=True,
        allow_none=True,
        metadata={
            "description": "What it says. Masked without the scope `phi`, and then null for types that settle nothing. "
            "It is also null if retention has removed it"
        },
    )


class EventListOut(Schema):
    """One page of events."""

    data = fields.List(fields.Nested(EventOut), required=True)
    next_cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "`cursor` of the next page; null on the last one", "example": CURSOR},
    )
