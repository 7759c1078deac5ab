"""The start that a request asks for, and the three ways in which times go out to Cobalt."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from service.domain.request_fields import Start, as_sent, read_start, refuse_skipped
from service.errors import InvalidFieldsError

NEW_YORK = "America/New_York"
REST = {"mrn": "1", "location": "2", "provider": "3", "type": "new_patient"}


@pytest.mark.parametrize(
    ("time", "hour", "minute"),
    [
        ("10:00", 10, 0),
        ("09:05", 9, 5),
        ("9:05", 9, 5),
        ("00:00", 0, 0),
        ("23:59", 23, 59),
        ("10:00 am", 10, 0),
        ("10:00 AM", 10, 0),
        ("10:00am", 10, 0),
        ("10:00 a.m.", 10, 0),
        ("1:30 pm", 13, 30),
        ("01:30 P.M.", 13, 30),
        ("12:00 am", 0, 0),
        ("12:00 pm", 12, 0),
        ("12:59 am", 0, 59),
        ("11:59 pm", 23, 59),
        (" 10:00 ", 10, 0),
    ],
)
def test_a_time_is_read_in_both_documented_formats(time: str, hour: int, minute: int) -> None:
    start = read_start({"date": "2025-01-31", "time": time})
    assert start == Start(datetime(2025, 1, 31, hour, minute), None)  # noqa: DTZ001 (a wall clock has no zone)


@pytest.mark.parametrize(
    ("text", "hour", "at"),
    [
        ("2025-01-01T10:00:00-05:00", 10, 15),
        ("2025-01-01T10:00:00Z", 10, 10),
        ("2025-01-01T10:00-05:00", 10, 15),
        ("2025-01-01T10:00:00+02:00", 10, 8),
        ("2025-01-01t10:00:00z", 10, 10),
        ("2025-01-01 10:00:00Z", 10, 10),
        ("2025-01-01T10:00:00.000-00:00", 10, 10),
    ],
)
def test_a_datetime_names_an_instant_and_a_time_on_the_clinics_wall(text: str, hour: int, at: int) -> None:
    start = read_start({"datetime": text})
    assert start == Start(
        datetime(2025, 1, 1, hour),  # noqa: DTZ001 (a wall clock has no zone)
        datetime(2025, 1, 1, at, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "time",
    [
        "",
        "10",
        "10:0",
        "24:00",
        "10:60",
        "0:30 am",
        "13:00 pm",
        "25:00",
        "10:00:00",
        "noon",
        "10.00",
        "\u0661\u0660:00",
        "10:00 xm",
    ],
)
def test_a_time_that_cannot_be_read_is_named_with_the_fix(time: str) -> None:
    with pytest.raises(ValueError, match="time") as raised:
        read_start({"date": "2025-01-31", "time": time})
    field, fix = raised.value.args
    assert field == "time"
    assert fix.startswith("must ")


@pytest.mark.parametrize(
    "date",
    [
        "",
        "2025-1-1",
        "01/31/2025",
        "2025-02-29",
        "2025-13-01",
        "2025-00-10",
        "0000-01-01",
        "20250131",
        "\u0662\u0660\u0662\u0665-01-01",
    ],
)
def test_a_date_that_cannot_be_read_is_named_with_the_fix(date: str) -> None:
    with pytest.raises(ValueError, match="date") as raised:
        read_start({"date": date, "time": "10:00"})
    field, fix = raised.value.args
    assert field == "date"
    assert fix.startswith("must ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-01-01",
        "2025-01-01T10:00:00",
        "tomorrow",
        "2025-02-30T10:00:00Z",
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59-02:00",
        "2025-01-01T10:00:00 America/New_York",
        "2025-W01-3T10:00:00-05:00",
        "2025-001T10:00:00-05:00",
        "20250101T100000Z",
        "2025-01-01T10-05:00",
        "2025-01-01T10:00:00-05",
        "2025-01-01T10:00:00-0500",
        "2025-01-01T10:00:00-05:00:30",
        "2025-01-01T10:00:00+05:60",
        "2025-01-01T10:00:00+24:00",
        "2025-01-01T24:00:00Z",
        "2025-01-01T10:00:60Z",
        "2025-01-01T10:00:00,5Z",
        "2025-01-01T10:00:00Z ",
        "\u0662\u0660\u0662\u0665-01-01T10:00:00Z",
    ],
)
def test_a_datetime_without_an_offset_or_an_instant_is_named_with_the_fix(text: str) -> None:
    with pytest.raises(ValueError, match="datetime") as raised:
        read_start({"datetime": text})
    field, fix = raised.value.args
    assert field == "datetime"
    assert fix.startswith("must ")


@pytest.mark.parametrize("time", ["10:00", "10:00 am", "9:5 whatever"])
def test_as_given_sends_what_the_caller_gave(time: str) -> None:
    asked = REST | {"date": "2025-01-01", "time": time, "note": "as it is"}
    assert as_sent(asked, "as_given", None) == asked


def test_a_field_that_is_null_is_left_out_in_every_format() -> None:
    asked = REST | {"date": "2025-01-01", "time": "10:00", "note": None}
    for time_format in ("as_given", "12_hour", "datetime"):
        assert "note" not in as_sent(asked, time_format, NEW_YORK)


@pytest.mark.parametrize(
    ("time", "sent"),
    [
        ("10:00", "10:00 am"),
        ("00:05", "12:05 am"),
        ("12:00", "12:00 pm"),
        ("13:30", "1:30 pm"),
        ("23:59", "11:59 pm"),
        ("9:05 AM", "9:05 am"),
        ("09:05 p.m.", "9:05 pm"),
    ],
)
def test_12_hour_sends_the_time_as_the_later_documentation_demands(time: str, sent: str) -> None:
    asked = REST | {"date": "2025-01-01", "time": time}
    assert as_sent(asked, "12_hour", None) == REST | {"date": "2025-01-01", "time": sent}


@pytest.mark.parametrize(
    ("date", "time", "sent"),
    [
        ("2025-01-01", "10:00", "2025-01-01T10:00:00-05:00"),
        ("2025-07-01", "10:00", "2025-07-01T10:00:00-04:00"),
        ("2025-07-01", "1:30 pm", "2025-07-01T13:30:00-04:00"),
        ("2025-11-02", "01:30", "2025-11-02T01:30:00-04:00"),  # the hour that comes twice: the first
    ],
)
def test_datetime_joins_both_with_the_offset_of_the_clinics_zone_on_that_day(date: str, time: str, sent: str) -> None:
    asked = REST | {"date": date, "time": time}
    assert as_sent(asked, "datetime", NEW_YORK) == REST | {"datetime": sent}


@pytest.mark.parametrize("zone", [NEW_YORK, "localtime", None])
def test_a_time_that_no_offset_belongs_to_is_sent_as_it_hangs_on_the_wall(zone: str | None) -> None:
    asked = REST | {"date": "2030-03-10", "time": "02:30"}
    assert as_sent(asked, "datetime", zone) == asked | {"time": "2:30 am"}


@pytest.mark.parametrize("time", ["02:00", "02:30", "2:59 am"])
def test_a_start_that_clocks_skip_is_refused_by_name(time: str) -> None:
    start = read_start({"date": "2030-03-10", "time": time})
    with pytest.raises(InvalidFieldsError) as raised:
        refuse_skipped(start, NEW_YORK)
    assert raised.value.errors == {
        "/time": f"On 2030-03-10 there is no 02:{time[-5:-3] if 'am' in time else time[-2:]} in America/New_York: "
        "clocks go forward over it."
    }
    for elsewhere in ("America/Phoenix", "localtime", None):
        refuse_skipped(start, elsewhere)


@pytest.mark.parametrize(
    "asked",
    [
        {"date": "2030-03-10", "time": "01:59"},
        {"date": "2030-03-10", "time": "03:00"},
        {"date": "2030-11-03", "time": "01:30"},  # twice
        {"datetime": "2030-03-10T02:30:00-05:00"},  # an instant, whatever hangs on the wall then
    ],
)
def test_a_start_that_clocks_show_is_not_refused(asked: dict[str, str]) -> None:
    refuse_skipped(read_start(asked), NEW_YORK)


@pytest.mark.parametrize("time_format", ["as_given", "12_hour", "datetime"])
def test_a_datetime_from_the_caller_is_never_touched(time_format: str) -> None:
    asked = REST | {"datetime": "2025-01-01T10:00:00+01:00"}
    assert as_sent(asked, time_format, NEW_YORK) == asked


@pytest.mark.parametrize("time_format", ["12_hour", "datetime"])
def test_fields_without_a_start_are_sent_as_they_are(time_format: str) -> None:
    assert as_sent({"mrn": "2"}, time_format, NEW_YORK) == {"mrn": "2"}


def test_what_the_caller_asked_for_is_not_changed_by_sending_it() -> None:
    asked = REST | {"date": "2025-01-01", "time": "10:00"}
    before = dict(asked)
    for time_format in ("as_given", "12_hour", "datetime"):
        as_sent(asked, time_format, NEW_YORK)
    assert asked == before
