"""What the sandbox takes and what it refuses."""

import pytest

from service.lab.sandbox.fields import RefusedError, check, corrected, read_attributes

REQUIRED = {"mrn": "1", "location": "2", "provider": "3", "type": "4"}


@pytest.mark.parametrize(
    ("timing", "starts_at"),
    [
        ({"date": "2025-01-01", "time": "10:00"}, "2025-01-01T10:00:00-05:00"),
        ({"date": "2025-07-01", "time": "9:05 pm"}, "2025-07-01T21:05:00-04:00"),
        ({"date": "2025-07-01", "time": "12:00 AM"}, "2025-07-01T00:00:00-04:00"),
        ({"date": "2025-07-01", "time": "12:30pm"}, "2025-07-01T12:30:00-04:00"),
        ({"datetime": "2025-01-01T10:00:00-08:00"}, "2025-01-01T13:00:00-05:00"),
        ({"datetime": "2025-01-01T15:00:00Z"}, "2025-01-01T10:00:00-05:00"),
    ],
)
def test_the_start_is_read_in_every_documented_notation(timing: dict[str, str], starts_at: str) -> None:
    assert check({**REQUIRED, **timing}, strict_time=False).isoformat() == starts_at


@pytest.mark.parametrize(
    ("timing", "named"),
    [
        ({"date": "2025-02-30", "time": "10:00"}, "date"),
        ({"date": "20250101", "time": "10:00"}, "date"),
        ({"date": "2025-01-01", "time": "25:00"}, "time"),
        ({"date": "2025-01-01", "time": "13:00 pm"}, "time"),
        ({"date": "2025-01-01", "time": "0:30 am"}, "time"),
        ({"date": "2025-01-01", "time": "ten"}, "time"),
        ({"date": "9999-12-31", "time": "23:00"}, "time"),
        ({"date": "2025-01-01"}, "time"),
        ({"time": "10:00"}, "date"),
        ({"datetime": "2025-01-01T10:00:00"}, "datetime"),
        ({"datetime": "0001-01-01T00:00:00+14:00"}, "datetime"),
        ({"datetime": "2025-01-01T10:00:00Z", "date": "2025-01-01"}, "datetime"),
    ],
)
def test_a_wrong_or_missing_start_is_refused_by_name(timing: dict[str, str], named: str) -> None:
    with pytest.raises(RefusedError, match=named):
        check({**REQUIRED, **timing}, strict_time=False)


def test_the_strict_clock_refuses_a_time_without_am_or_pm() -> None:
    fields = {**REQUIRED, "date": "2025-01-01", "time": "10:00"}
    with pytest.raises(RefusedError, match="12-hour"):
        check(fields, strict_time=True)
    assert check({**fields, "time": "10:00 am"}, strict_time=True).hour == 10


@pytest.mark.parametrize("missing", list(REQUIRED))
def test_a_required_attribute_may_be_neither_absent_nor_blank(missing: str) -> None:
    fields = {**REQUIRED, "date": "2025-01-01", "time": "10:00"}
    for given in ({}, {missing: " "}):
        with pytest.raises(RefusedError, match=f"{missing} is required"):
            check({name: text for name, text in fields.items() if name != missing} | given, strict_time=False)


@pytest.mark.parametrize(
    ("name", "text"), [("new_patient", "yes"), ("prevent_double_booking", "1"), ("duration", "30 min")]
)
def test_flags_and_durations_are_strings_of_a_certain_form(name: str, text: str) -> None:
    with pytest.raises(RefusedError, match=name):
        check({**REQUIRED, "date": "2025-01-01", "time": "10:00", name: text}, strict_time=False)


@pytest.mark.parametrize("body", [[], "mrn", None, {"mrn": 1}, {"note": None}])
def test_a_body_that_is_no_object_of_strings_is_refused(body: object) -> None:
    with pytest.raises(RefusedError):
        read_attributes(body)


def test_a_new_datetime_replaces_date_and_time_and_the_other_way_round() -> None:
    assert corrected({"mrn": "1", "date": "d", "time": "t"}, {"datetime": "x"}) == {"mrn": "1", "datetime": "x"}
    assert corrected({"datetime": "x"}, {"date": "d", "time": "t"}) == {"date": "d", "time": "t"}
