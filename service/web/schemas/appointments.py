"""What goes in and out over HTTP, as marshmallow schemas; requests themselves are in ``service.requests.schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, validate

from service.domain.failures import Category
from service.domain.states import Status
from service.domain.submission import Submission
from service.requests.strict import StrictSchema

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_PER_PAGE = 200

APPOINTMENT_ID = "appt_01M82H411FTRZNBWNK8888BX86"
QUARANTINED_ID = "qrn_01M82H411FTRZNBWNK8888BX86"
CURSOR = "Hk0Vb3l5d2Q1WyIyMDI1LTAxLTAxVDE1OjAwOjAwKzAwOjAwIiwgImFwcHRfMDFNODJINDExRlRSWk5CV05LODg4OEJYODYiXQ"
"""Examples; a cursor has no meaning to a caller."""


def _limit() -> fields.Integer:
    return fields.Integer(
        load_default=50,
        validate=validate.Range(1, MOST_PER_PAGE),
        metadata={"description": "The most rows on a page", "example": 20},
    )


class QuarantineQuery(StrictSchema):
    """A page of the quarantine."""

    limit = _limit()
    cursor = fields.String(metadata={"description": "`next_cursor` of the previous page", "example": CURSOR})


def _time(*, allow_none: bool = False, description: str) -> fields.String:
    """Declare a time that is text already."""
    return fields.String(
        required=True,
        allow_none=allow_none,
        metadata={"format": "date-time", "description": description, "example": "2025-01-01T15:00:00Z"},
    )


def _shown(description: str, example: str, *, required: bool = True) -> fields.String:
    return fields.String(required=required, metadata={"description": description, "example": example})


def _shown_or_null(description: str, example: str, *, required: bool = True) -> fields.String:
    metadata = {"description": description, "example": example}
    return fields.String(required=required, allow_none=True, metadata=metadata)


def _choice(description: str, choices: Iterable[str], *, allow_none: bool = False) -> fields.String:
    """Declare one of a few words."""
    words = list(choices)
    return fields.String(
        required=True,
        allow_none=allow_none,
        validate=validate.OneOf([*words, None] if allow_none else words),
        metadata={"description": description, "example": words[0]},
    )


def _count(description: str, example: int = 0) -> fields.Integer:
    return fields.Integer(
        required=True, validate=validate.Range(0), metadata={"description": description, "example": example}
    )


def _anything(description: str, example: dict[str, Any]) -> fields.Dict:
    return fields.Dict(required=True, metadata={"description": description, "example": example})


class RequestOut(Schema):
    """The request: Cobalt's fields, as the caller gave them."""

    mrn = _shown("Without the scope `phi`, only its last two characters", "***89")
    location = _shown("The location's id at Cobalt", "123456789")
    date = _shown_or_null("YYYY-MM-DD, in the clinic's time zone", "2025-01-01")
    time = _shown_or_null("As given in the request", "10:00")
    datetime = _shown_or_null("As given in the request", "2025-01-01T10:00:00-05:00", required=False)
    provider = _shown("The provider's id or name at Cobalt", "Dr. Smith")
    secondary_provider = _shown_or_null("A second provider", "Dr. Jones")
    type = _shown("The visit type", "new_patient")
    note = _shown_or_null("Only with the scope `phi`", "Prefers mornings", required=False)
    reason = _shown_or_null("Only with the scope `phi`", "Check-up", required=False)
    new_patient = _shown_or_null("`true` or `false`", "true", required=False)
    prevent_double_booking = _shown_or_null("`true` or `false`", "true", required=False)
    duration = _shown_or_null("Minutes", "30", required=False)


class SubmissionOut(Schema):
    """How far the call to Cobalt has got."""

    state = _choice("The state", sorted(state.value for state in Submission))
    tries = _count("Calls to Cobalt in the current attempt", 1)
    last_error = _shown_or_null("Why the last call failed", "ReadTimeout")
    candidates = fields.List(
        fields.String(metadata={"example": "123456790"}),
        required=True,
        metadata={"description": "Ids at Cobalt from which a person must choose"},
    )
    accepted_at = _time(allow_none=True, description="When Cobalt accepted it, on our clock")


class ConfirmationOut(Schema):
    """What Cobalt confirmed."""

    date_time = _shown_or_null("The start as Cobalt wrote it", "2025-01-01T10:00")
    timezone = _shown_or_null("The clinic's time zone as Cobalt wrote it, usually an IANA name", "America/New_York")
    starts_at = _time(allow_none=True, description="The start in UTC, if the time zone is known")
    provider_id = _shown_or_null("At the EHR", "emr_prov_123")
    provider_name = _shown_or_null("At the EHR", "Dr. Smith")
    secondary_provider_id = _shown_or_null("At the EHR", "emr_prov_456")


class RemedyOut(Schema):
    """What a person can do about a failure."""

    fields_ = fields.List(
        fields.String(metadata={"example": "mrn"}),
        data_key="fields",
        attribute="fields",
        required=True,
        metadata={"description": "The fields to correct"},
    )
    action = _shown("What to do", "correct")


class FailureOut(Schema):
    """Why it failed: a stable category and Cobalt's own words."""

    category = _choice("The stable category", [category.value for category in Category])
    reason = _shown("Cobalt's own words", "Patient MRN '***89' not found in eCW")
    details = _anything("What else Cobalt said", {"visit_type": "new_patient"})
    occurred_at = _time(description="On Cobalt's clock")
    remedy = fields.Nested(RemedyOut, required=True)


class AppointmentOut(Schema):
    """One request and its status."""

    object = fields.String(required=True, validate=validate.Equal("appointment"))
    id = _shown("Our id; newer ids sort later", APPOINTMENT_ID)
    account = _shown("The linked EHR account", "clinic_1")
    status = _choice("`created` is final", [status.value for status in Status])
    attempt = fields.Integer(
        required=True,
        validate=validate.Range(1),
        metadata={"description": "Each correction or resubmission adds one", "example": 1},
    )
    cobalt_appointment_id = _shown_or_null("Known once Cobalt has accepted the request", "123456790")
    cobalt_job_id = _shown_or_null("The operation at Cobalt, if Cobalt named one", "4711")
    request = fields.Nested(RequestOut, required=True)
    submission = fields.Nested(SubmissionOut, required=True)
    confirmation = fields.Nested(ConfirmationOut, required=True, allow_none=True)
    failure = fields.Nested(FailureOut, required=True, allow_none=True)
    overdue = fields.Boolean(
        required=True, metadata={"description": "Whether it has been processing for too long", "example": False}
    )
    conflicts = _count("Failures that Cobalt reported although the appointment is `created`")
    discrepancies = fields.List(
        fields.String(metadata={"example": "start"}),
        required=True,
        metadata={"description": "Fields in which the outcome differs from the request"},
    )
    metadata = _anything("The caller's own data", {"order": "o-17"})
    created_at = _time(description="When it was requested")
    updated_at = _time(description="When anything about it last changed")
    settled_at = _time(allow_none=True, description="When the outcome became known")
    version = fields.Integer(
        required=True,
        validate=validate.Range(1),
        metadata={"description": "Each change adds one", "example": 3},
    )


class ListedAppointmentOut(AppointmentOut):
    """An appointment in a list: whole, or only the fields that `fields` names."""


class AppointmentListOut(Schema):
    """One page of appointments."""

    data = fields.List(fields.Nested(ListedAppointmentOut(partial=True)), required=True)
    next_cursor = _shown_or_null("`cursor` of the next page; null on the last one", CURSOR)


class TimelineEntryOut(Schema):
    """One thing that happened."""

    at = _time(description="On our clock")
    kind = _shown("What happened", "event")
    source = _shown("How it arrived", "webhook")
    attempt = fields.Integer(
        allow_none=True,
        validate=validate.Range(1),
        metadata={"description": "The attempt that it belongs to, if known", "example": 1},
    )
    disposition = _shown_or_null("What became of a delivery", "applied", required=False)
    event_id = _shown_or_null("Cobalt's", "evt_123", required=False)
    summary = _shown("What happened, in words", "Cobalt says: booked")
    details = _anything("Whatever else is known", {"type": "appointment.created"})


class TimelineOut(Schema):
    """Everything that happened to an appointment, in order."""

    appointment_id = _shown("Ours", APPOINTMENT_ID)
    status = _choice("The current status", [status.value for status in Status])
    why = _shown("Why it is in this state, in one sentence", "Cobalt has booked it.")
    data = fields.List(fields.Nested(TimelineEntryOut), required=True)


class QuarantinedSummaryOut(Schema):
    """Authentic bytes that could not be taken as an event, as a list shows them."""

    id = _shown("Ours", QUARANTINED_ID)
    received_at = _time(description="When the bytes first arrived")
    source = _choice("How they arrived", ("webhook", "poll", "spool", "replay"))
    reason = _shown("Why they could not be taken as an event; contains no value from them", "not JSON")
    size = _count("Bytes", 512)
    deliveries = _count("How often they arrived", 1)
    replayed_at = _time(allow_none=True, description="When a replay succeeded")
    event_id = _shown_or_null("The event that a replay made of them", "evt_123")
    contradicts = _shown_or_null("The known event with the same id and another body", "evt_123")
    dismissed_at = _time(allow_none=True, description="When a person dismissed them")
    decided_by = _shown_or_null("Who dismissed them, or accepted them as an event of their own", "operations")


class QuarantinedOut(QuarantinedSummaryOut):
    """Authentic bytes that could not be taken as an event."""

    content = _shown("Only with the scope `phi`; bytes that are not text are escaped", "{broken", required=False)
    said_digest = _shown_or_null(
        "SHA-256 of what they say, independent of formatting; only if they contradict an event, with the scope `phi`",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        required=False,
    )
    recorded_digest = _shown_or_null(
        "The same digest of the event that they contradict",
        "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
        required=False,
    )


class QuarantineListOut(Schema):
    """One page of the quarantine."""

    data = fields.List(fields.Nested(QuarantinedSummaryOut), required=True)
    next_cursor = _shown_or_null("`cursor` of the next page; null on the last one", QUARANTINED_ID)


class ReplayOut(Schema):
    """What became of a replayed record."""

    disposition = _choice(
        "`quarantined` while it still cannot be taken",
        ("applied", "superseded", "unmatched", "ignored", "noted", "duplicate", "quarantined"),
    )
    event_id = _shown_or_null("Cobalt's", "evt_123")


class HealthOut(Schema):
    """The result of a health check."""

    status = fields.String(required=True, validate=validate.Equal("ok"))
