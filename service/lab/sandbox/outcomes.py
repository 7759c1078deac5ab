"""Which request ends how: the table of triggers, and what the failure webhook then says."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """One documented ending.

    Attributes:
        reason: Cobalt's words in the seed, with the asked-for attributes as `{mrn}` and so on.
        details: the further fields of the webhook's `data`, in the same notation.
        code: of the later `reasons`. The documentation describes these codes but lists none
            for appointments, so the spelling is the sandbox's own.
    """

    name: str
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    code: str = ""


@dataclass(frozen=True)
class Trigger:
    """Asking for `value` in `attribute` brings about `outcome`."""

    attribute: str
    value: str
    outcome: Outcome


CREATED = Outcome("created")

# The first that fits wins.
TRIGGERS = (
    Trigger(
        "mrn",
        "000000",
        Outcome(
            "patient not found",
            "Patient MRN '{mrn}' not found in eCW. "
            "Please update the MRN using the PATCH /v1/appointments/:id endpoint.",
            code="PATIENT_NOT_FOUND",
        ),
    ),
    Trigger(
        "type",
        "Annual Wellness Visit",
        Outcome(
            "visit type not available",
            "Visit type '{type}' not available for the selected resource/provider combination. "
            "Please update the visit type using the PATCH /v1/appointments/:id endpoint.",
            {"visit_type": "{type}"},
            code="VISIT_TYPE_NOT_AVAILABLE",
        ),
    ),
    Trigger(
        "provider",
        "Dr. Unknown",
        Outcome(
            "provider not found",
            "Provider '{provider}' not found in eCW. "
            "Please check the provider configuration or use PATCH /v1/appointments/:id endpoint to update.",
            {"provider_name": "{provider}"},
            code="PROVIDER_NOT_FOUND",
        ),
    ),
    Trigger(
        "location",
        "Admin Block",
        Outcome(
            "schedule block",
            "Appointment creation failed: The appointment conflicts with a schedule block "
            "(Admin Block 9am-12pm). Permission denied. "
            "Please choose a different time or resolve the schedule conflict.",
            {"conflict_type": "schedule_block", "block_details": "Admin Block 9am-12pm"},
            code="SCHEDULE_BLOCK",
        ),
    ),
    Trigger(
        "location",
        "Double Booked",
        Outcome(
            "appointment conflict",
            "Appointment creation failed: This appointment conflicts with another existing appointment. "
            "Permission denied. Please choose a different time.",
            {"conflict_type": "appointment_conflict"},
            code="APPOINTMENT_CONFLICT",
        ),
    ),
    Trigger(
        "mrn",
        "999999",
        Outcome(
            "gave up after 3 attempts",
            "Appointment creation failed after 3 attempts. Last error: Some internal error message. "
            "Please check logs or contact support.",
            code="MAX_RETRIES_EXCEEDED",
        ),
    ),
)


def outcome_of(fields: Mapping[str, str]) -> Outcome:
    """How a request with these attributes ends."""
    for trigger in TRIGGERS:
        if fields.get(trigger.attribute) == trigger.value:
            return trigger.outcome
    return CREATED


def failure_data(outcome: Outcome, appointment_id: str, fields: Mapping[str, str], *, later: bool) -> dict[str, object]:
    """The `data` of `appointment.failed`, in the seed's order."""
    reason = outcome.reason.format_map(fields)
    data: dict[str, object] = {
        "appointment_id": appointment_id,
        "mrn": fields["mrn"],
        "failure_reason": reason,
    }
    data |= {name: text.format_map(fields) for name, text in outcome.details.items()}
    if later:
        if "conflict_type" in outcome.details:
            # Named in the documentation, not described: an object is the harder case for a reader.
            data["conflict_details"] = {"type": outcome.details["conflict_type"], "description": reason}
        data["reasons"] = [{"code": outcome.code, "description": reason}]
    return data


def trigger_table() -> str:
    """The triggers as a table for people."""
    rows = [(f"{trigger.attribute} = {trigger.value}", trigger.outcome.name) for trigger in TRIGGERS]
    rows.append(("anything else", CREATED.name))
    width = max(len(asked) for asked, _ in rows)
    return "\n".join(f"{asked:{width}}  {outcome}" for asked, outcome in rows)
