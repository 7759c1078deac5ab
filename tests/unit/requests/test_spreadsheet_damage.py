"""What a spreadsheet does to a value is told from what somebody meant."""

from __future__ import annotations

import pytest

from service.requests.spreadsheet_damage import find_damage, find_lost_zeros, find_odd_mrns

MEANT = {
    "mrn": ["00012345", "123456789", "A-12-3456", "12E4", "E+12", "1.23", "12.345.678-9", "#4", "MAR1", "true"],
    "provider": ["Dr. Smith", "'t Hart", "Dr. May", "Dr. =Smith=", "007", "True North"],
    "location": ["Main Clinic #4", "March 5", "1-2-Step Clinic", "12/3", "What?!"],
    "type": ["new_patient", "New!"],
    "date": ["2030-01-15"],
    "time": ["10:00", "10:00 am", "9:05 PM"],
    "datetime": ["2030-01-15T10:00:00-05:00", "2030-01-15T15:00Z"],
    "duration": ["30", "030"],
    "new_patient": ["true", "false"],
    "note": ["1.23E+11", "=1+1", "TRUE", "01/02/2030 at 10:00:00", "#4!x", "what?"],
}
ERRORS = [
    "#REF!",
    "#N/A",
    "#NV",
    "#NAME?",
    "#VALUE!",
    "#DIV/0!",
    "#BEZUG!",
    "#¿NOMBRE?",
    "Err:502",
    "####",
    "Dr. \ufffd",
]
DAMAGED = {
    "mrn": [
        *("1.23457E+11", "1,23457E+11", "1E+05", "-1.2e-07", "123456789.0", "1,234,567", "TRUE", "FALSCH"),
        *("1-Mar", "Mar-01", "02-Jan-2030", "3. Mai", "1/2/2030", "2030-01-15", "2030-01-15 00:00:00"),
        *('="00123"', "=A1", "'00123", "***89"),
    ],
    "provider": ["1.23457E+11", "TRUE", "1-Mar", "=A1", "12.0"],
    "location": ["1.23457E+11", "1-Mar"],
    "type": ["1.23457E+11", "TRUE"],
    "duration": ["3E+01"],
    "new_patient": ["TRUE", "FALSE", "VRAI"],
    "date": ["01/02/2030", "1/15/2030", "15.01.2030", "15-01-30", "2030/01/15", "47498", "2030-01-15 00:00:00"],
    "time": ["10:00:00", "10:00:00 AM", "0.41667", "0,5", ".25"],
    "datetime": ["1/2/2030", "47498.41667", "2030-01-15 10:00:00"],
}


def pairs(values: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(field, value) for field, them in values.items() for value in them]


@pytest.mark.parametrize(("field", "value"), pairs(MEANT))
def test_what_somebody_meant_is_left_alone(field: str, value: str) -> None:
    assert find_damage(field, value) is None


@pytest.mark.parametrize(("field", "value"), pairs(DAMAGED) + pairs(dict.fromkeys(("mrn", "type", "note"), ERRORS)))
def test_what_a_spreadsheet_made_is_found_and_not_repeated(field: str, value: str) -> None:
    fix = find_damage(field, value)
    assert fix is not None
    assert value not in fix


def lines(*values: str) -> dict[int, str]:
    return dict(enumerate(values, start=2))


@pytest.mark.parametrize(
    ("mrns", "wrong", "doubtful"),
    [
        (("00123456", "123456"), {3}, set()),
        (("00123456", "00123457", "1", "12345678", "A-1"), {4}, set()),
        (("123456789", "12345678"), {3}, set()),
        (("123456", "1234567", "1234567", "12345678"), {2, 5}, set()),
        (("123456789", "123456789", "999999", "000000"), set(), {4}),
        (("123456", "A-12345", "12-34"), set(), set()),
        (("123456", "123457"), set(), set()),
        (("1234567890123450", "1234567890123456"), {2}, set()),
        ((), set(), set()),
    ],
)
def test_mrns_of_digits_that_differ_in_length_have_lost_some(
    mrns: tuple[str, ...], wrong: set[int], doubtful: set[int]
) -> None:
    found = find_odd_mrns(lines(*mrns))
    assert tuple(map(set, found)) == (wrong, doubtful)
    assert not any(mrn in fix for fix in [*found[0].values(), *found[1].values()] for mrn in mrns if len(mrn) > 2)


def test_other_ids_have_lost_zeros_only_beside_some_that_kept_them() -> None:
    assert find_lost_zeros(lines("7", "12", "130")) == {}
    assert find_lost_zeros(lines("007", "12", "Dr. Smith", "130")).keys() == {3}
