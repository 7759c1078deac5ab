import json
import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.failures import REMEDIES, Category, classify, shape
from tests.seed_payloads import SEED_PAYLOADS

SEED_FAILURES = {name: json.loads(raw)["data"] for name, raw in SEED_PAYLOADS.items() if name != "created"}
NOTHING: dict[str, Any] = {}


@pytest.mark.parametrize("name", SEED_FAILURES)
def test_each_documented_cause_has_its_category(name: str) -> None:
    data = SEED_FAILURES[name]
    assert classify(data["failure_reason"], data) == name


@pytest.mark.parametrize("name", SEED_FAILURES)
@pytest.mark.parametrize("change", [str.upper, str.lower, str.title, lambda text: text.replace(" ", "  ")])
def test_the_words_alone_are_enough_in_any_case_and_spacing(name: str, change: Any) -> None:  # noqa: ANN401
    assert classify(change(SEED_FAILURES[name]["failure_reason"]), NOTHING) == name


@pytest.mark.parametrize(
    ("reason", "category"),
    [
        ("No patient with MRN 4711", Category.PATIENT_NOT_FOUND),
        ("Could not find the patient in Athena", Category.PATIENT_NOT_FOUND),
        ("Patient couldn't be found", Category.PATIENT_NOT_FOUND),
        ("The patient does not exist in the EHR", Category.PATIENT_NOT_FOUND),
        ("MRN is invalid", Category.PATIENT_NOT_FOUND),
        ("Unable to locate patient", Category.PATIENT_NOT_FOUND),
        ("Appointment type \u201cFollow up\u201d is unavailable", Category.VISIT_TYPE_UNAVAILABLE),
        ("Unknown visit type", Category.VISIT_TYPE_UNAVAILABLE),
        ("Visit type could not be found for this provider", Category.VISIT_TYPE_UNAVAILABLE),
        ("The patient's provider was not found", Category.PROVIDER_NOT_FOUND),
        ("Provider 'Dr. O'Brien' not found", Category.PROVIDER_NOT_FOUND),
        ("Unable to find provider for this patient", Category.PROVIDER_NOT_FOUND),
        ("The time slot is blocked", Category.SCHEDULE_BLOCK),
        ("Conflicts with scheduling block", Category.SCHEDULE_BLOCK),
        ("Slot already booked", Category.APPOINTMENT_CONFLICT),
        ("It overlaps with another appointment", Category.APPOINTMENT_CONFLICT),
        ("Double-booking is not allowed", Category.APPOINTMENT_CONFLICT),
        ("Maximum number of retries reached", Category.GAVE_UP),
        ("Gave up after three tries", Category.GAVE_UP),
        ("Too many attempts", Category.GAVE_UP),
        ("The EHR is down for maintenance", Category.OTHER),
        ("", Category.OTHER),
    ],
)
def test_changed_wording_is_still_understood(reason: str, category: Category) -> None:
    assert classify(reason, NOTHING) is category


@pytest.mark.parametrize(
    ("reason", "category"),
    [
        ("Visit type 'Schedule Block Review' not available", Category.VISIT_TYPE_UNAVAILABLE),
        ("Provider 'Patient not found' not found", Category.PROVIDER_NOT_FOUND),
        (
            "The appointment conflicts with a schedule block (Patient not found)",
            Category.SCHEDULE_BLOCK,
        ),
        ("Something odd about 'schedule block'", Category.OTHER),
    ],
)
def test_quoted_and_bracketed_values_are_no_evidence(reason: str, category: Category) -> None:
    assert classify(reason, NOTHING) is category


def test_giving_up_counts_more_than_the_last_error() -> None:
    reason = "Appointment creation failed after 3 attempts. Last error: Provider not found on page."
    assert classify(reason, NOTHING) is Category.GAVE_UP


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("PATIENT_NOT_FOUND", Category.PATIENT_NOT_FOUND),
        ("patient-not-found", Category.PATIENT_NOT_FOUND),
        ("PatientNotFound", Category.PATIENT_NOT_FOUND),
        ("VISIT_TYPE_NOT_FOUND", Category.VISIT_TYPE_UNAVAILABLE),
        ("visit_type_not_available", Category.VISIT_TYPE_UNAVAILABLE),
        ("PROVIDER_NOT_FOUND", Category.PROVIDER_NOT_FOUND),
        ("schedule block", Category.SCHEDULE_BLOCK),
        ("Appointment.Conflict", Category.APPOINTMENT_CONFLICT),
        ("MAX_RETRIES_EXCEEDED", Category.GAVE_UP),
    ],
)
def test_a_code_decides_over_conflict_type_and_words(code: str, category: Category) -> None:
    details = {
        "reasons": [{"code": "NEWS_TO_US", "description": "?"}, {"code": code, "description": "?"}],
        "conflict_type": "schedule_block" if category is not Category.SCHEDULE_BLOCK else "appointment_conflict",
    }
    assert classify("Gave up", details) is category


def test_the_conflict_type_decides_over_words() -> None:
    assert classify("Patient not found", {"conflict_type": "Schedule-Block"}) is Category.SCHEDULE_BLOCK


def test_unknown_codes_leave_it_to_the_words() -> None:
    details = {"reasons": [{"code": "E42"}], "conflict_type": "weather"}
    assert classify("Patient not found", details) is Category.PATIENT_NOT_FOUND


@pytest.mark.parametrize("odd", [None, "E42", [None, 1, "x", [], {}], [{"code": 4}], {"code": "x"}, 1.5])
def test_reasons_and_conflict_types_of_any_type_are_tolerated(odd: object) -> None:
    assert classify("", {"reasons": odd, "conflict_type": odd}) is Category.OTHER


def test_every_category_has_a_remedy() -> None:
    assert {category: (remedy.fields, remedy.action) for category, remedy in REMEDIES.items()} == {
        "patient_not_found": (("mrn",), "correct"),
        "visit_type_unavailable": (("type",), "correct"),
        "provider_not_found": (("provider",), "correct"),
        "schedule_block": (("date", "time"), "correct"),
        "appointment_conflict": (("date", "time"), "correct"),
        "gave_up": ((), "resubmit"),
        "rejected_by_cobalt": ((), "correct"),
        "submission_unconfirmed": ((), "check_ehr_then_resubmit"),
        "other": ((), "review"),
    }
    assert set(REMEDIES) == set(Category)


@pytest.mark.parametrize(
    "piece",
    ["'", '"', "(", "\u2018", "' '", "conflict ", "patient ", "not ", "no a ", "visit type ", "after a ", "mrn a"],
)
def test_hostile_text_takes_bounded_time(piece: str) -> None:
    text = piece * 100_000
    started = time.process_time()
    classify(text, NOTHING)
    shape(text)
    assert time.process_time() - started < 0.5


ODD = st.none() | st.integers() | st.text() | st.lists(st.text() | st.dictionaries(st.just("code"), st.text()))


@given(st.text(), st.dictionaries(st.sampled_from(["reasons", "conflict_type", "x"]), ODD))
def test_any_text_has_a_category(reason: str, details: dict[str, Any]) -> None:
    assert classify(reason, details) in Category


def test_a_shape_keeps_the_words_of_cobalt_and_no_value() -> None:
    assert shape(SEED_FAILURES["patient_not_found"]["failure_reason"]) == (
        "patient mrn _ not found in ecw please update the mrn using the _ appointments _ endpoint"
    )
    assert shape("Appointment creation failed after 3 attempts. Last error: Jane Roe, born 1980-02-03") == (
        "appointment creation failed after _ attempts last error _"
    )


@given(st.text(string.ascii_letters + string.digits, min_size=4), st.sampled_from(["", "'", '"', "(", "MRN "]))
def test_a_shape_leaks_no_value(value: str, before: str) -> None:
    value = "Xq" + value
    assert value.lower() not in shape(f"Patient {before}{value} not found")


@given(st.text())
def test_a_shape_is_bounded_and_plain(reason: str) -> None:
    result = shape(reason * 50)
    assert len(result) <= 200
    assert set(result) <= set(string.ascii_lowercase + " _")
