"""Whether a start that Cobalt says is the one that was asked for, in whatever notation each of them is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.starts import Fit, compare
from service.domain.times import instants, never_comes
from service.domain.zones import find_zone

NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"
NO, PERHAPS, YES = Fit
UNUSABLE = [None, "", "Mars/Olympus_Mons", "localtime"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("said_zone", UNUSABLE)
@pytest.mark.parametrize(
    ("said", "fit"),
    [
        ("2030-01-15T10:00", YES),
        ("2030-01-15T10:01", YES),
        ("2030-01-15T10:02", NO),
        ("2030-01-15T22:00", NO),
        ("2030-01-16T10:00", NO),
        ("2030-02-20T15:07", NO),
        ("2030-01-15T15:00Z", YES),  # in some zone
        ("2030-01-15T15:07Z", NO),
        ("2030-01-16T15:00Z", NO),
        ("2030-01-15T10:00-05:00", YES),
        ("2030-01-15T11:00-05:00", NO),  # an offset tells what hangs on the wall
        ("2030-01-16T10:00-05:00", NO),
    ],
)
def test_without_a_zone_what_hangs_on_the_wall_is_compared(said: str, said_zone: str | None, fit: Fit) -> None:
    assert compare(at(said), at("2030-01-15T10:00"), said_zone=said_zone) is fit


@pytest.mark.parametrize("said_zone", UNUSABLE)
@pytest.mark.parametrize(
    ("said", "asked", "fit"),
    [
        ("2030-01-15T10:00", "2030-01-15T10:00-05:00", YES),
        ("2030-01-15T11:00", "2030-01-15T10:00-05:00", NO),
        ("2030-01-16T10:00", "2030-01-15T10:00-05:00", NO),
        ("2030-01-15T10:00", "2030-01-15T15:00Z", YES),  # who asks in UTC does not say what hangs on the wall
        ("2030-01-15T10:07", "2030-01-15T15:00Z", NO),
        ("2030-01-16T10:00", "2030-01-15T15:00Z", NO),
        ("2030-01-15T15:00Z", "2030-01-15T10:00-05:00", YES),
        ("2030-01-15T09:00-06:00", "2030-01-15T10:00-05:00", YES),
        ("2030-01-15T10:00-06:00", "2030-01-15T10:00-05:00", NO),
    ],
)
def test_without_a_zone_a_start_with_an_offset_is_compared_too(
    said: str, asked: str, said_zone: str | None, fit: Fit
) -> None:
    assert compare(at(said), at(asked), said_zone=said_zone) is fit


@pytest.mark.parametrize("asked", ["2030-01-15T10:00", "2030-01-15T10:00-05:00", "2030-01-15T15:00Z"])
@pytest.mark.parametrize("said_zone", [*UNUSABLE, NEW_YORK, "america/new_york", "Eastern Standard Time"])
@pytest.mark.parametrize(
    ("said", "fit"),
    [
        ("2030-01-15T10:00", YES),
        ("2030-01-15T15:00Z", YES),
        ("2030-01-15T10:00-05:00", YES),
        ("2030-01-15T09:00-06:00", YES),
        ("2030-01-15T11:00", NO),
        ("2030-01-15T16:00Z", NO),
        ("2030-01-16T10:00", NO),
        ("2030-01-16T15:07", NO),
    ],
)
def test_the_zone_of_the_account_counts_where_cobalt_names_none(
    said: str, asked: str, said_zone: str | None, fit: Fit
) -> None:
    assert compare(at(said), at(asked), said_zone=said_zone, usual_zone=NEW_YORK) is fit


def test_the_zone_that_cobalt_names_with_the_start_is_the_clinics() -> None:
    asked = at("2030-01-15T10:00")
    assert compare(at("2030-01-15T16:00Z"), asked, said_zone=CHICAGO, usual_zone=NEW_YORK) is YES
    assert compare(at("2030-01-15T15:00Z"), asked, said_zone=CHICAGO, usual_zone=NEW_YORK) is NO
    assert compare(at("2030-01-15T10:00"), at("2030-01-15T10:00-05:00"), said_zone=CHICAGO) is NO


@pytest.mark.parametrize(
    ("said", "asked"),
    [("2030-01-15T10:00-06:00", "2030-01-15T10:00"), ("2030-01-15T10:00", "2030-01-15T10:00-06:00")],
)
def test_the_same_time_on_the_wall_of_another_clinic_than_the_usual_one_is_for_a_person(said: str, asked: str) -> None:
    assert compare(at(said), at(asked), said_zone=None, usual_zone=NEW_YORK) is PERHAPS
    assert compare(at(said), at(asked), said_zone=None) is YES


@pytest.mark.parametrize("zone", [NEW_YORK, None])
def test_an_hour_that_never_comes_is_itself(zone: str | None) -> None:
    asked = at("2030-03-10T02:30")
    assert compare(asked, asked, said_zone=zone) is YES
    assert compare(at("2030-03-10T07:30Z"), asked, said_zone=NEW_YORK) is YES  # as if clocks had not gone forward
    assert compare(at("2030-03-10T06:30Z"), asked, said_zone=NEW_YORK) is NO
    assert compare(at("2030-03-10T08:30Z"), asked, said_zone=NEW_YORK) is NO


@pytest.mark.parametrize("asked", ["2030-11-03T01:30-04:00", "2030-11-03T01:30-05:00", "2030-11-03T01:30"])
def test_an_hour_that_comes_twice_is_either(asked: str) -> None:
    assert compare(at("2030-11-03T01:30"), at(asked), said_zone=NEW_YORK) is YES
    assert compare(at("2030-11-03T02:30"), at(asked), said_zone=NEW_YORK) is NO


def test_an_hour_that_comes_twice_is_one_of_them_where_an_offset_says_which() -> None:
    first, second = at("2030-11-03T01:30-04:00"), at("2030-11-03T01:30-05:00")
    assert compare(at("2030-11-03T06:30Z"), second, said_zone=NEW_YORK) is YES
    assert compare(at("2030-11-03T06:30Z"), first, said_zone=NEW_YORK) is NO


@pytest.mark.parametrize("zone", [NEW_YORK, "Pacific/Kiritimati", None])
@pytest.mark.parametrize("other", [at("0001-01-01T00:00"), at("9999-12-31T23:59"), at("0001-01-01T00:00Z")])
def test_the_ends_of_the_calendar_are_only_other_days(other: datetime, zone: str | None) -> None:
    for asked in (at("2030-01-15T10:00"), at("2030-01-15T10:00-05:00")):
        assert compare(other, asked, said_zone=zone) is NO
        assert compare(asked, other, said_zone=zone) is NO


ZONES = ["America/New_York", "America/Los_Angeles", "America/Phoenix", "Asia/Kathmandu", "Pacific/Kiritimati", "UTC"]
WINDOWS = dict(
    zip(
        ZONES,
        [
            "Eastern Standard Time",
            "Pacific Standard Time",
            "US Mountain Standard Time",
            "Nepal Standard Time",
            "Line Islands Standard Time",
            "UTC",
        ],
        strict=True,
    )
)
zones = st.sampled_from(ZONES)
# Whole minutes, as clinics have them; among them hours that come twice or never.
walls = st.one_of(
    st.datetimes(datetime(2000, 1, 3), datetime(2199, 12, 29)),  # noqa: DTZ001 (wall clocks)
    st.datetimes(datetime(2030, 3, 10), datetime(2030, 3, 10, 4)),  # noqa: DTZ001
    st.datetimes(datetime(2030, 11, 3), datetime(2030, 11, 3, 4)),  # noqa: DTZ001
).map(lambda wall: wall.replace(second=0, microsecond=0, fold=0))


@st.composite
def bookings(draw: st.DrawFn) -> tuple[datetime, datetime, str, str | None]:
    """A start at a clinic in both of its notations that meet: as it was asked for, and as it is confirmed."""
    zone, wall = draw(zones), draw(walls)
    moment = draw(st.sampled_from(instants(wall, ZoneInfo(zone))))
    offset = timezone(moment.astimezone(ZoneInfo(zone)).utcoffset() or timedelta())
    with_offset = [moment, moment.astimezone(offset), moment.astimezone(timezone(timedelta(hours=2)))]
    if never_comes(wall, ZoneInfo(zone)):
        with_offset = []  # no offset names it
    asked = draw(st.sampled_from([wall, *with_offset[:2]]))
    said = draw(st.sampled_from([wall, *with_offset]))
    names = [zone, zone.lower(), zone.upper(), f" {zone}", WINDOWS[zone], WINDOWS[zone].lower()]
    return said, asked, zone, draw(st.sampled_from([*names, None, "Mars/Olympus_Mons"]))


@given(bookings())
def test_a_booked_request_always_fits_its_own_outcome(booked: tuple[datetime, datetime, str, str | None]) -> None:
    said, asked, zone, said_zone = booked
    assert compare(said, asked, said_zone=said_zone, usual_zone=zone) is YES
    if said.utcoffset() != timedelta(hours=2):  # of no clinic; only a zone can tell
        assert compare(said, asked, said_zone=said_zone) is YES


@given(bookings(), st.integers(-400, 400).filter(bool), st.booleans())
def test_no_request_fits_another_day(
    booked: tuple[datetime, datetime, str, str | None],
    days: int,
    usual: bool,  # noqa: FBT001
) -> None:
    said, asked, zone, said_zone = booked
    another = said + timedelta(days=days)
    fit = compare(another, asked, said_zone=said_zone, usual_zone=zone if usual else None)
    nobody_says_where = not usual and find_zone(said_zone) is None
    if nobody_says_where and {said.tzinfo, asked.tzinfo} == {None, UTC} and abs(days) == 1:
        return  # the day before and the day after are the same day in some zones
    assert fit is NO


@given(walls, walls, zones)
def test_with_a_zone_only_what_is_near_fits(said: datetime, asked: datetime, zone: str) -> None:
    known = ZoneInfo(zone)
    near = any(
        abs(one - other) <= timedelta(minutes=1) for one in instants(said, known) for other in instants(asked, known)
    )
    assert compare(said, asked, said_zone=zone) is (YES if near else NO)
