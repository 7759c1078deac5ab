"""An outcome for another patient or another time is applied, and flagged: a wrong patient is the worst there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.web.conftest import Api, Book

OTHER = "987654321"


def found(api: Api, **query: str) -> set[str]:
    listed = api.read("/v1/appointments", query_string=query)["data"]
    return {one["id"] for one in listed}


@pytest.mark.parametrize(
    ("said", "flagged"),
    [
        ({}, []),
        ({"mrn": " 123456789 "}, []),
        ({"mrn": OTHER}, ["mrn"]),
        ({"date_time": "2030-01-15T10:01"}, []),
        ({"date_time": "2030-01-15T10:30"}, ["start"]),
        ({"date_time": "2030-01-16T10:00"}, ["start"]),
        ({"date_time": "2030-01-15T15:00:00Z"}, []),
        ({"date_time": "2030-01-15T16:00:00Z"}, ["start"]),
        ({"date_time": "2030-01-15T10:00", "timezone": "America/Chicago"}, []),  # asked for on the clinic's clock
        ({"date_time": "2030-01-15T15:00:00Z", "timezone": None}, []),  # no clock to compare with
        *(
            said
            for zone in (None, "", "Mars/Olympus_Mons", "localtime", "america/new_york", "Eastern Standard Time")
            for said in (
                ({"timezone": zone}, []),
                ({"date_time": "2030-01-15T10:30", "timezone": zone}, ["start"]),
                ({"date_time": "2030-01-16T10:00", "timezone": zone}, ["start"]),
                ({"date_time": "2030-01-16T15:00:00Z", "timezone": zone}, ["start"]),
            )
        ),
        ({"date_time": "sometime"}, []),
        ({"mrn": OTHER, "date_time": "2030-01-16T10:00"}, ["mrn", "start"]),
    ],
)
def test_what_differs_from_what_was_asked_for_is_named(
    api: Api, book: Book, said: dict[str, Any], flagged: list[str]
) -> None:
    one = book.accepted("c1", mrn="123456789")
    assert book.tell("created", "c1", **said) == "applied"
    shown = api.read(f"/v1/appointments/{one}")
    assert (shown["status"], shown["discrepancies"]) == ("created", flagged)


@pytest.mark.parametrize(
    ("said", "flagged"),
    [
        ({}, []),
        ({"timezone": "America/Chicago"}, ["start"]),
        ({"timezone": "America/Chicago", "date_time": "2030-01-15T09:00"}, []),
    ],
)
def test_a_start_with_an_offset_is_compared_as_an_instant(
    api: Api, book: Book, said: dict[str, Any], flagged: list[str]
) -> None:
    one = book.accepted("c1", mrn="123456789", date=None, time=None, datetime="2030-01-15T10:00:00-05:00")
    book.tell("created", "c1", **said)
    assert api.read(f"/v1/appointments/{one}")["discrepancies"] == flagged


@pytest.mark.parametrize("zone", [None, "Mars/Olympus_Mons", "Eastern Standard Time"])
def test_a_start_with_an_offset_is_compared_though_the_zone_is_of_no_use(
    api: Api, book: Book, zone: str | None
) -> None:
    asked: dict[str, Any] = {"mrn": "123456789", "date": None, "time": None, "datetime": "2030-01-15T10:00:00-05:00"}
    right, wrong = book.accepted("c1", **asked), book.accepted("c2", **asked)
    book.tell("created", "c1", timezone=zone)
    book.tell("created", "c2", timezone=zone, date_time="2030-01-16T10:00")
    assert api.read(f"/v1/appointments/{right}")["discrepancies"] == []
    assert api.read(f"/v1/appointments/{wrong}")["discrepancies"] == ["start"]


def test_an_hour_that_never_comes_is_confirmed_as_it_was_asked_for(api: Api, book: Book) -> None:
    one = book.accepted("c1", mrn="123456789", date="2030-03-10", time="02:30")
    book.tell("created", "c1", date_time="2030-03-10T02:30")
    assert api.read(f"/v1/appointments/{one}")["discrepancies"] == []


@pytest.mark.parametrize(("offset", "starts_at"), [("-04:00", "05:30"), ("-05:00", "06:30")])
def test_an_hour_that_comes_twice_is_confirmed_as_the_one_that_was_asked_for(
    api: Api, book: Book, offset: str, starts_at: str
) -> None:
    start = f"2030-11-03T01:30:00{offset}"
    one = book.accepted("c1", mrn="123456789", date=None, time=None, datetime=start)
    book.tell("created", "c1", date_time="2030-11-03T01:30")
    shown = api.read(f"/v1/appointments/{one}")
    assert shown["discrepancies"] == []
    assert shown["confirmation"]["starts_at"] == f"2030-11-03T{starts_at}:00Z"
    assert found(api, starts_from=shown["confirmation"]["starts_at"]) == {one}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("M\u00dc-42", "MU\u0308-42"),
        ("MU\u0308-42", "M\u00dc-42"),
        ("A 12  34", "A\u00a012 34"),
        ("123456789", "\ufeff123456789\u200b"),
    ],
)
def test_an_mrn_that_is_only_written_in_another_way_is_not_flagged(api: Api, book: Book, asked: str, said: str) -> None:
    one = book.accepted("c1", mrn=asked)
    book.tell("created", "c1", mrn=said)
    shown = api.read(f"/v1/appointments/{one}")
    assert (shown["request"]["mrn"], shown["discrepancies"]) == (asked, [])


def test_a_failure_that_names_another_patient_is_flagged_too(api: Api, book: Book) -> None:
    one = book.accepted("c1", mrn="123456789")
    book.tell("failed", "c1", mrn=OTHER, reason=f"Patient MRN '{OTHER}' not found in eCW.")
    assert api.read(f"/v1/appointments/{one}")["discrepancies"] == ["mrn"]


def test_a_list_can_show_only_those(api: Api, book: Book) -> None:
    _right, patient, start, both = (book.accepted(f"c{number}", mrn="123456789") for number in range(4))
    book.tell("created", "c0")
    book.tell("created", "c1", mrn=OTHER)
    book.tell("created", "c2", date_time="2030-01-16T10:00")
    book.tell("created", "c3", mrn=OTHER, date_time="2030-01-16T10:00")
    assert found(api, discrepancy="mrn") == {patient, both}
    assert found(api, discrepancy="start") == {start, both}
    assert api.get("/v1/appointments", query_string={"discrepancy": "provider"}).status_code == 422


def test_the_mrn_that_was_confirmed_is_masked_like_the_one_that_was_asked_for(api: Api, book: Book) -> None:
    one = book.accepted("c1", mrn="123456789")
    book.tell("created", "c1", mrn=OTHER)
    for path in (f"/v1/appointments/{one}", f"/v1/appointments/{one}/timeline", "/v1/appointments?discrepancy=mrn"):
        shown = api.get(path, scopes=("read",)).text
        assert OTHER not in shown
        assert "123456789" not in shown
        assert one in shown
    assert OTHER in api.get(f"/v1/appointments/{one}/timeline", scopes=("read", "phi")).text


def test_a_correction_that_is_booked_as_corrected_is_flagged_no_longer(api: Api, book: Book) -> None:
    one = book.accepted("c1", mrn="123456789")
    book.tell("failed", "c1", mrn=OTHER)
    assert api.read(f"/v1/appointments/{one}")["discrepancies"] == ["mrn"]
    assert api.call("PATCH", f"/v1/appointments/{one}", json={"mrn": OTHER}).status_code == 202
    assert api.read(f"/v1/appointments/{one}")["discrepancies"] == []
    book.tell("created", "c1", mrn=OTHER)
    shown = api.read(f"/v1/appointments/{one}")
    assert (shown["status"], shown["discrepancies"]) == ("created", [])
