"""What may be asked of the list of appointments: its filters, its order, its page and its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError, fields, post_load, validate
from webargs.fields import DelimitedList

from service.domain.failures import Category
from service.domain.states import Status
from service.domain.submission import Submission
from service.postgres.queries.appointment_views import FILTERS, SORTS, Listing
from service.requests.schema import storable
from service.requests.strict import StrictSchema
from service.web.schemas.appointments import MOST_PER_PAGE, AppointmentOut
from service.web.schemas.instants import Instant

if TYPE_CHECKING:
    from collections.abc import Mapping

PER_PAGE = 50
SHOWN = tuple(AppointmentOut().fields)
"""The top-level names of an appointment."""

_UNLESS_MASKED = "; without the scope `phi`, only if it contains no MRN"


def _choice(description: str, choices: list[str]) -> fields.String:
    return fields.String(validate=validate.OneOf(choices), metadata={"description": description})


def _exactly(description: str, example: str) -> fields.String:
    return fields.String(validate=storable, metadata={"description": description, "example": example})


def _instant(description: str) -> Instant:
    return Instant(metadata={"description": description, "example": "2025-01-15T10:00:00Z"})


class ListQuery(StrictSchema):
    """The filters, order, page and fields of a list of appointments. Filters narrow it down together."""

    status = _choice("Only those with this status", [status.value for status in Status])
    failure_category = _choice("Only those that failed for this reason", [category.value for category in Category])
    failure_code = _exactly(
        f"Only those of whose failure Cobalt gives this code, among others, exactly as it spells it{_UNLESS_MASKED}",
        "PATIENT_NOT_FOUND",
    )
    submission = _choice("Only those whose call to Cobalt is in this state", [state.value for state in Submission])
    account = _exactly("Only those of this linked EHR account", "clinic_1")
    mrn = _exactly(
        "Only those requested with this MRN; spacing and accents do not matter. Needs the scope `phi`, else 403, "
        "because MRNs could be guessed",
        "123456789",
    )
    provider = _exactly(f"Only those requested with exactly this provider{_UNLESS_MASKED}", "Dr. Smith")
    type = _exactly(f"Only those requested with exactly this visit type{_UNLESS_MASKED}", "new_patient")
    cobalt_appointment_id = _exactly("Only the one that has this id at Cobalt", "123456790")
    discrepancy = _choice("Only outcomes that differ from the request in this field", ["mrn", "start"])
    overdue = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Only those that have been processing for too long, or only the others"},
    )
    created_from = _instant("Only those requested at this time or later")
    created_to = _instant("Only those requested before this time")
    starts_from = _instant(
        "Only those that start at this time or later, by `starts_at`: as confirmed, or as requested with an offset"
    )
    starts_to = _instant("Only those that start before this time")
    sort = fields.String(
        load_default="-created_at",
        validate=validate.OneOf(list(SORTS)),
        metadata={"description": "The order; a minus means latest first"},
    )
    limit = fields.Integer(
        validate=validate.Range(1, MOST_PER_PAGE),
        metadata={"description": f"Appointments on a page; default {PER_PAGE}. CSV without it is the whole list"},
    )
    cursor = fields.String(
        metadata={
            "description": "`next_cursor` of the previous page. It carries filters and sort, which may be left out"
        }
    )
    fields_ = DelimitedList(
        fields.String(metadata={"enum": list(SHOWN)}),
        data_key="fields",
        validate=validate.Length(min=1),
        metadata={"description": "Top-level names of an appointment, separated by commas: only these are shown"},
    )

    @post_load
    def known_fields(self, query: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Point to each name that is not a field of an appointment."""
        unknown = [place for place, name in enumerate(query.get("fields_", ())) if name not in SHOWN]
        if unknown:
            wrong = f"Is not a field of an appointment; the fields are: {', '.join(SHOWN)}."
            raise ValidationError({"fields": {place: [wrong] for place in unknown}})
        return query

    @staticmethod
    def listing(query: Mapping[str, Any]) -> Listing:
        """Pick what makes this list this list from validated data."""
        return Listing(filters={name: query[name] for name in FILTERS if name in query}, sort=query["sort"])
