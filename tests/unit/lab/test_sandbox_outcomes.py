"""The sandbox's triggers against the examples on Cobalt's page, word by word."""

import pytest

from service.lab.sandbox.outcomes import TRIGGERS, Trigger, failure_data, outcome_of, trigger_table

ORDINARY = {"mrn": "123456789", "location": "1", "provider": "Dr. Smith", "type": "new_patient"}

# Copied from the seed's failure examples.
SEED = [
    (
        {"mrn": "000000"},
        {
            "appointment_id": "123456790",
            "mrn": "000000",
            "failure_reason": "Patient MRN '000000' not found in eCW. "
            "Please update the MRN using the PATCH /v1/appointments/:id endpoint.",
        },
    ),
    (
        {"type": "Annual Wellness Visit"},
        {
            "appointment_id": "123456790",
            "mrn": "123456789",
            "failure_reason": "Visit type 'Annual Wellness Visit' not available for the selected "
            "resource/provider combination. "
            "Please update the visit type using the PATCH /v1/appointments/:id endpoint.",
            "visit_type": "Annual Wellness Visit",
        },
    ),
    (
        {"provider": "Dr. Unknown"},
        {
            "appointment_id": "123456790",
            "mrn": "123456789",
            "failure_reason": "Provider 'Dr. Unknown' not found in eCW. Please check the provider "
            "configuration or use PATCH /v1/appointments/:id endpoint to update.",
            "provider_name": "Dr. Unknown",
        },
    ),
    (
        {"location": "Admin Block"},
        {
            "appointment_id": "123456790",
            "mrn": "123456789",
            "failure_reason": "Appointment creation failed: The appointment conflicts with a schedule "
            "block (Admin Block 9am-12pm). Permission denied. "
            "Please choose a different time or resolve the schedule conflict.",
            "conflict_type": "schedule_block",
            "block_details": "Admin Block 9am-12pm",
        },
    ),
    (
        {"location": "Double Booked"},
        {
            "appointment_id": "123456790",
            "mrn": "123456789",
            "failure_reason": "Appointment creation failed: This appointment conflicts with another "
            "existing appointment. Permission denied. Please choose a different time.",
            "conflict_type": "appointment_conflict",
        },
    ),
    (
        {"mrn": "999999"},
        {
            "appointment_id": "123456790",
            "mrn": "999999",
            "failure_reason": "Appointment creation failed after 3 attempts. "
            "Last error: Some internal error message. Please check logs or contact support.",
        },
    ),
]


@pytest.mark.parametrize(("asked", "said"), SEED)
def test_each_trigger_fails_in_the_words_and_the_order_of_the_seed(asked: dict[str, str], said: dict[str, str]) -> None:
    fields = {**ORDINARY, **asked}
    data = failure_data(outcome_of(fields), "123456790", fields, later=False)
    assert list(data.items()) == list(said.items())


def test_anything_else_is_created() -> None:
    assert outcome_of(ORDINARY).name == "created"


def test_braces_in_what_was_asked_for_stay_as_they_are() -> None:
    fields = {**ORDINARY, "type": "Annual Wellness Visit", "mrn": "{mrn}{0}"}
    data = failure_data(outcome_of(fields), "1", fields, later=False)
    assert data["mrn"] == "{mrn}{0}"


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger.outcome.name)
def test_the_later_shape_adds_reasons_whose_descriptions_make_up_the_failure_reason(trigger: Trigger) -> None:
    fields = {**ORDINARY, trigger.attribute: trigger.value}
    data = failure_data(outcome_of(fields), "1", fields, later=True)
    reasons = data["reasons"]
    assert isinstance(reasons, list)
    assert " ".join(reason["description"] for reason in reasons) == data["failure_reason"]
    assert ("conflict_details" in data) == ("conflict_type" in data)


def test_the_table_names_every_trigger() -> None:
    lines = trigger_table().splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        *(f"{trigger.attribute} = {trigger.value}" for trigger in TRIGGERS),
        "anything else",
    ]
