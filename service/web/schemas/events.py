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
        validate=validate.OneOf([source.value for source in Source]), metadata={"description": "How it came first"}
    )
    type = fields.String(
        validate=storable, metadata={"description": "Cobalt's word for it", "example": "appointment.failed"}
    )
    cobalt_appointment_id = fields.String(
        validate=storable, metadata={"description": "The appointment's id at Cobalt", "example": "123456790"}
    )
    appointment_id = fields.String(
        validate=storable, metadata={"description": "Our appointment that it belongs to", "example": APPOINTMENT_ID}
    )
    of_another_account = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Whether they wait because the appointment that they name is of another account"},
    )
    received_from = Instant(metadata={"description": "Only those received at this time or later"})
    received_to = Instant(metadata={"description": "Only those received before this time"})
    limit = fields.Integer(
        load_default=50,
        validate=validate.Range(1, MOST_PER_PAGE),
        metadata={"description": "Events on a page at most", "example": 20},
    )
    cursor = fields.String(
        metadata={"description": "`next_cursor` of the page before; it carries the filters", "example": CURSOR}
    )


class EventOut(Schema):
    """What Cobalt said, once for each of its event ids."""

    object = fields.String(required=True, validate=validate.Equal("event"))
    id = fields.String(required=True, metadata={"description": "Cobalt's", "example": "evt_123"})
    type = fields.String(
        required=True, metadata={"description": "Cobalt's word for what happened", "example": "appointment.failed"}
    )
    disposition = fields.String(
        required=True, validate=validate.OneOf(KEPT), metadata={"description": "What became of it"}
    )
    source = fields.String(
        required=True,
        validate=validate.OneOf([source.value for source in Source]),
        metadata={"description": "How it came first"},
    )
    account_reference = fields.String(
        required=True, allow_none=True, metadata={"description": "The linked EHR account, as Cobalt names it"}
    )
    waits_for = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(WAITED_FOR),
        metadata={
            "description": "What one that is unmatched waits for: that its appointment becomes known; that Cobalt has "
            "taken the latest correction; or that a person says whether its account is the appointment's"
        },
    )
    repeats = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The event that had told this outcome before, under another id: the two count once",
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
        metadata={"description": "Our appointment that it belongs to", "example": APPOINTMENT_ID},
    )
    mrn = fields.String(
        required=True, allow_none=True, metadata={"description": "Masked without the scope `phi`", "example": "***89"}
    )
    occurred_at = fields.String(required=True, metadata={"description": "On Cobalt's clock", "format": "date-time"})
    received_at = fields.String(required=True, metadata={"description": "On our clock", "format": "date-time"})
    age_seconds = fields.Integer(
        required=True, allow_none=True, metadata={"description": "How long it has waited, while it is unmatched"}
    )
    data = fields.Raw(
        required=True,
        allow_none=True,
        metadata={
            "description": "What it says. Without the scope `phi` masked, and null for types that settle nothing; "
            "null also where retention has removed it"
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
