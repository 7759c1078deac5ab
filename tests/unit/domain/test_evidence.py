"""Which of the things that Cobalt says can be the outcome of a request whose reply was lost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.events import read_event
from service.domain.evidence import Asked, Evidence, fits, from_event
from service.domain.starts import Fit
from tests.unit.domain.test_starts import bookings

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
TEN = datetime(2025, 1, 7, 10)  # noqa: DTZ001 (a wall clock)
NEW_YORK = "America/New_York"
ASKED = Asked(mrn="123456789", start=TEN, zone=NEW_YORK, provider="Dr. Smith", since=NOON)
SAID = Evidence(
    cobalt_id="1",
    mrn="123456789",
    start=datetime(2025, 1, 7, 15, tzinfo=UTC),
    providers=frozenset({"emr_prov_1", "Dr. Smith"}),
    at=NOON + timedelta(minutes=1),
)


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[misc,arg-type]


def does_fit(evidence: Evidence, asked: Asked) -> bool:
    """Tell whether it fits: in these tests nothing is left to a person."""
    fit = fits(evidence, asked)
    assert fit is not Fit.PERHAPS
    return fit is Fit.YES


def event(kind: str, **data: Any) -> Any:  # noqa: ANN401
    body = {
        "id": "evt_1",
        "created": "2025-01-01T12:01:00Z",
        "type": f"appointment.{kind}",
        "data": {"appointment_id": 1, "mrn": "123456789"} | data,
    }
    return read_event(json.dumps(body).encode(), received_at=NOON)


def test_what_was_asked_for_fits() -> None:
    assert does_fit(SAID, ASKED)


@pytest.mark.parametrize(
    ("said", "fit"),
    [
        ("123456789", True),
        (" 123456789 ", True),
        ("123456780", False),
        ("23456789", False),
        ("0123456789", False),  # zeros count: it is another patient, until a person says otherwise
        (None, False),  # for nobody in particular is for nobody here
    ],
)
def test_the_patient_has_to_be_the_same(said: str | None, *, fit: bool) -> None:
    assert does_fit(replace(SAID, mrn=said), ASKED) is fit


def test_blanks_around_the_mrn_that_was_asked_for_do_not_count() -> None:
    assert does_fit(SAID, replace(ASKED, mrn=" 123456789"))


@pytest.mark.parametrize(("seconds", "fit"), [(-1, False), (0, True), (1, True), (86_400, True)])
def test_what_happened_before_the_request_was_sent_is_not_its_outcome(seconds: int, *, fit: bool) -> None:
    assert does_fit(replace(SAID, at=NOON + timedelta(seconds=seconds)), ASKED) is fit


def test_what_has_no_date_may_have_happened_since() -> None:
    assert does_fit(replace(SAID, at=None), ASKED)


@pytest.mark.parametrize(("seconds", "fit"), [(0, True), (60, True), (-60, True), (61, False), (-61, False)])
@pytest.mark.parametrize("form", ["on the wall", "as an instant", "in a zone that is not known"])
def test_the_start_has_to_be_the_same_to_the_minute(form: str, seconds: int, *, fit: bool) -> None:
    start = utc(2025, 1, 7, 15) + timedelta(seconds=seconds)
    asked = {
        "on the wall": ASKED,
        "as an instant": replace(ASKED, start=utc(2025, 1, 7, 15)),
        "in a zone that is not known": replace(ASKED, zone=None),
    }[form]
    assert does_fit(replace(SAID, start=start), asked) is fit


@pytest.mark.parametrize("asked", [ASKED, replace(ASKED, start=utc(2025, 1, 7, 15)), replace(ASKED, zone=None)])
def test_a_start_that_is_not_said_contradicts_nothing(asked: Asked) -> None:
    assert does_fit(replace(SAID, start=None), asked)


@pytest.mark.parametrize("asked", [ASKED, replace(ASKED, start=utc(2025, 1, 7, 15)), replace(ASKED, zone=None)])
def test_a_start_that_cannot_be_read_is_for_a_person(asked: Asked) -> None:
    unreadable = replace(SAID, start=None, start_is_unreadable=True)
    assert fits(unreadable, asked) is Fit.PERHAPS
    assert fits(replace(unreadable, mrn="123456780"), asked) is Fit.NO


@pytest.mark.parametrize(
    ("hours", "fit"),
    [
        (5, True),  # New York
        (0, True),
        (-5.75, True),  # Nepal
        (-14, True),  # the Line Islands
        (14, True),
        (14.25, False),
        (-14.25, False),
        (24, False),
        (-24, False),
        (5 + 1 / 12, False),  # no zone is five minutes off
    ],
)
def test_where_the_clinics_zone_is_not_known_any_zone_may_be_it(hours: float, *, fit: bool) -> None:
    start = TEN.replace(tzinfo=UTC) + timedelta(hours=hours)
    assert does_fit(replace(SAID, start=start), replace(ASKED, zone=None)) is fit


@pytest.mark.parametrize(
    ("local", "start", "fit"),
    [
        ((2025, 7, 7, 10, 0), (2025, 7, 7, 14, 0), True),  # summer
        ((2025, 7, 7, 10, 0), (2025, 7, 7, 15, 0), False),
        ((2025, 1, 7, 10, 0), (2025, 1, 7, 14, 0), False),
        ((2025, 11, 2, 1, 30), (2025, 11, 2, 5, 30), True),  # an hour that comes twice: either one
        ((2025, 11, 2, 1, 30), (2025, 11, 2, 6, 30), True),
        ((2025, 11, 2, 1, 30), (2025, 11, 2, 7, 30), False),
        ((2025, 3, 9, 2, 30), (2025, 3, 9, 7, 30), True),  # one that never comes, as service.domain.events reads it
        ((2025, 3, 9, 2, 30), (2025, 3, 9, 8, 30), False),
        ((2025, 3, 9, 3, 30), (2025, 3, 9, 7, 30), True),
    ],
)
def test_a_known_zone_has_its_summer(local: tuple[int, ...], start: tuple[int, ...], *, fit: bool) -> None:
    asked = replace(ASKED, start=datetime(*local))  # type: ignore[arg-type]  # noqa: DTZ001
    assert does_fit(replace(SAID, start=utc(*start)), asked) is fit


@pytest.mark.parametrize("zone", ["Mars/Olympus_Mons", "", "../etc/passwd", "America"])
def test_a_zone_that_does_not_exist_is_one_that_is_not_known(zone: str) -> None:
    asked = replace(ASKED, zone=zone)
    assert does_fit(SAID, asked)
    assert not does_fit(replace(SAID, start=utc(2025, 1, 9, 15)), asked)


def test_the_zone_that_cobalt_names_with_the_start_is_the_clinics() -> None:
    """An account may have clinics in several zones; the one that it is set to is only the usual one."""
    in_chicago = replace(SAID, start=utc(2025, 1, 7, 16), zone="America/Chicago")
    assert does_fit(in_chicago, ASKED)
    assert does_fit(in_chicago, replace(ASKED, zone=None))
    assert not does_fit(replace(in_chicago, start=utc(2025, 1, 7, 15)), ASKED)
    assert not does_fit(replace(in_chicago, start=utc(2025, 1, 7, 15)), replace(ASKED, zone=None))


@pytest.mark.parametrize(
    ("said", "asked", "fit"),
    [
        ({"emr_prov_1", "Dr. Smith"}, "Dr. Smith", True),
        ({"emr_prov_1", "Dr. Smith"}, " dr. SMITH ", True),
        ({"emr_prov_1", "Dr. Smith"}, "emr_prov_1", True),
        ({"emr_prov_1", "Dr. Smith"}, "Dr. Jones", False),
        ({"emr_prov_1", "Dr. Smith"}, "Dr. Smithers", False),
        ({"emr_prov_1", "Dr. Smith"}, "123456789", True),  # Cobalt confirms under the EHR's own id [S]
        (set(), "Dr. Smith", True),
        (set(), "123456789", True),
    ],
)
def test_a_provider_who_is_named_has_to_be_the_same(said: set[str], asked: str, *, fit: bool) -> None:
    assert does_fit(replace(SAID, providers=frozenset(said)), replace(ASKED, provider=asked)) is fit


def test_a_confirmation_is_evidence_with_all_that_it_says() -> None:
    seen = from_event(
        event(
            "created",
            date_time="2025-01-07T10:00",
            timezone=NEW_YORK,
            provider_id="emr_prov_1",
            provider_name="Dr. Smith",
        )
    )
    assert seen == replace(SAID, start=TEN, zone=NEW_YORK)


@pytest.mark.parametrize("said", ["sometime", "2025-01-07", "", None, 5])
def test_a_confirmation_whose_start_cannot_be_read_says_so(said: object) -> None:
    seen = from_event(event("created", date_time=said, timezone=NEW_YORK, provider_name="Dr. Smith"))
    assert seen
    assert (seen.start, seen.start_is_unreadable) == (None, True)


def test_a_failure_is_evidence_of_what_little_it_says() -> None:
    seen = from_event(event("failed", failure_reason="Provider 'Dr. Smith' not found", provider_name="Dr. Smith"))
    assert seen == Evidence("1", "123456789", None, frozenset({"Dr. Smith"}), NOON + timedelta(minutes=1))
    seen = from_event(event("failed", failure_reason="no", provider_name={"odd": 1}))
    assert seen == Evidence("1", "123456789", None, frozenset(), NOON + timedelta(minutes=1))


def test_an_id_alone_names_nobody_who_was_asked_for_by_name() -> None:
    seen = from_event(event("created", date_time="2025-01-07T10:00", timezone=NEW_YORK, provider_id="emr_prov_1"))
    assert seen
    assert does_fit(seen, ASKED)


def test_an_event_about_no_appointment_is_no_evidence() -> None:
    body = b'{"id":"evt_1","type":"patient.updated","data":{"mrn":"123456789"}}'
    assert from_event(read_event(body, received_at=NOON)) is None


def clock(moment: datetime, style: str) -> str:
    """Write a start as one of the systems does that Cobalt's robots read."""
    date, hours, minutes = f"{moment:%Y-%m-%d}", moment.hour, f"{moment.minute:02}"
    offset = moment.utcoffset()
    if offset is None:
        ahead = ""
    elif style == "short":
        sign, (hour, rest) = "-" if offset < timedelta(0) else "+", divmod(abs(offset), timedelta(hours=1))
        ahead = f"{sign}{hour}:{rest // timedelta(minutes=1):02}"
    else:
        ahead = f"{moment:%z}".replace("+0000", "Z")
    if style == "in words":
        return f"{date} {(hours - 1) % 12 + 1}:{minutes}\u202f{'AM' if hours < 12 else 'p.m.'}{ahead}"
    return f"{date}T{hours:02}:{minutes}{':00.000' if style == 'long' else ''}{ahead}"


@given(bookings(), st.sampled_from(["long", "short", "in words"]), st.integers(-400, 400))
def test_the_outcome_of_a_request_fits_however_it_is_written_and_no_other_day_does(
    booked: tuple[datetime, datetime, str, str | None], style: str, days: int
) -> None:
    said, start, zone, said_zone = booked
    start_of_another = clock(said + timedelta(days=days), style)
    seen = from_event(
        event(
            "created", date_time=start_of_another, timezone=said_zone, provider_name="Dr.\u00a0Smith", mrn=" 123456789"
        )
    )
    assert seen
    assert does_fit(seen, replace(ASKED, start=start, zone=zone)) is (days == 0)
