import copy
import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.masking import know, know_named, mask_json, mask_mrn, mask_text

MRN = "123456789"
ALPHANUMERIC = string.ascii_letters + string.digits


@pytest.mark.parametrize(
    ("mrn", "masked"),
    [("123456789", "***89"), ("1234567890123", "***23"), ("123", "***23"), ("12", "***"), ("1", "***"), ("", "***")],
)
def test_an_mrn_shows_its_last_two_characters_and_not_its_length(mrn: str, masked: str) -> None:
    assert mask_mrn(mrn) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Patient 123456789 is gone", "Patient ***89 is gone"),
        ("Patient 123456789, or 123456789.", "Patient ***89, or ***89."),
        ("X123456789Y", "***9Y"),
        ("000123456789", "***89"),
        ("nothing here", "nothing here"),
        ("10:00 on 2025-01-01", "10:00 on 2025-01-01"),
        ("", ""),
    ],
)
def test_a_known_mrn_is_masked_wherever_it_stands(text: str, masked: str) -> None:
    assert mask_text(text, [MRN]) == masked


def test_case_does_not_count() -> None:
    assert mask_text("patient abC-77x", ["ABC-77X"]) == "patient ***7x"


def test_an_mrn_is_found_without_its_leading_zeros() -> None:
    assert mask_text("patient 123456", ["000123456"]) == "patient ***56"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("patient 42 at 14:20", "patient *** at 14:20"),
        ("patient 0042", "patient ***42"),
        ("patient 142", "patient 142"),
        ("42", "***"),
    ],
)
def test_a_short_mrn_is_masked_only_where_it_stands_alone(text: str, masked: str) -> None:
    assert mask_text(text, ["42"]) == masked


@pytest.mark.parametrize(
    ("mrn", "text", "masked"),
    [
        (MRN, "patient 123 456 789 is gone", "patient ***89 is gone"),
        (MRN, "patient 123-456-789", "patient ***89"),
        (MRN, "patient 00-123.456_789x", "patient 00-***9x"),
        (MRN, "patient 123 - 456 - 789", "patient ***89"),
        (MRN, "patient 123 -- 456 -- 789", "patient 123 -- 456 -- 789"),
        (MRN, "patient 1 123-456-789 or 123456 789", "patient 1 ***89 or ***89"),
        ("121212", "a 121-212-1212", "a ******12"),
        (MRN, "patient 123,456,789", "patient ***89"),
        (MRN, "patient 123\u2011456\u202f789", "patient ***89"),
        (MRN, "patient 1234\u200b56\u00ad789", "patient ***89"),
        (MRN, "patient \uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19", "patient ***\uff18\uff19"),
        (
            MRN,
            "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669 \U0001d7d7",
            "***\u0668\u0669 \U0001d7d7",
        ),
        ("12-34-56-78", "patient 12345678", "patient ***78"),
        ("12-34-56-78", "patient 12 34 56 78", "patient ***78"),
        ("ab-12", "patient AB12, ab-12", "patient ***12, ***12"),
        ("Zoe\u0301-7741", "patient ZO\u00cb-7741", "patient ***41"),
        ("QX77410099", "chart 77410099", "chart ***99"),
        ("QX-00774100-B", "see 774100", "see ***00"),
        ("1234", "at 12:34 or 12 34", "at 12:34 or 12 34"),
        ("20250101", "12:20:25 0101", "12:20:25 0101"),
    ],
)
def test_an_mrn_is_found_in_whatever_way_it_is_written(mrn: str, text: str, masked: str) -> None:
    assert mask_text(text, [mrn]) == masked


def test_what_is_left_beside_the_stars_makes_up_no_mrn() -> None:
    assert mask_text("898989 8989", ["898989"]) == "******89"
    assert mask_text("042", ["042", "42"]) == "***42"


@pytest.mark.parametrize(
    ("note", "text", "masked"),
    [
        ("HIV test first", "note 'hiv TEST first' is too long", "note '***st' is too long"),
        ("HIV+", "note HIV+ refused", "note ***V+ refused"),
        ("none", "nonetheless", "nonetheless"),
        ("as", "as is", "as is"),
    ],
)
def test_a_known_note_is_masked_where_it_is_repeated(note: str, text: str, masked: str) -> None:
    assert mask_text(text, know([], [note])) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Patient MRN '000000' not found in eCW.", "Patient MRN '***00' not found in eCW."),
        ('MRN "xyz"', 'MRN "***yz"'),
        ("MRN \u2018xyz\u2019", "MRN \u2018***yz\u2019"),
        ("MRN 'x y z' lost", "MRN '*** z' lost"),
        ("MRN 'never closed", "MRN '***er closed"),
        ("MRN: xyz", "MRN: ***yz"),
        ("mrn=xyz&a=b", "mrn=***yz&a=b"),
        ("MRN 77a", "MRN ***7a"),
        ("MRN #4455, please", "MRN #***55, please"),
        ("MRN (4455)", "MRN (***55)"),
        ("MRN <4455>", "MRN <***55>"),
        ("MRN4455", "MRN***55"),
        ("medical record number 99a", "medical record number ***9a"),
        ("M.R.N. 99a", "M.R.N. ***9a"),
        ("Patient ID: 99a", "Patient ID: ***9a"),
        ("chart no 99a", "chart no ***9a"),
        ('{"mrn":"abc"}', '{"mrn":"***bc"}'),
        (r"{\"patient_mrn\":\"abc\"}", r"{\"patient_mrn\":\"***bc\"}"),
        ('{"mrn": 123}', '{"mrn": ***23}'),
    ],
)
def test_what_the_text_calls_an_mrn_is_masked_though_unknown(text: str, masked: str) -> None:
    assert mask_text(text, []) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Please update the MRN using the PATCH /v1/appointments/:id endpoint.",
        "MRN not found",
        "Patient MRN '***00' not found",
        "MRN: ***89",
    ],
)
def test_text_that_shows_no_mrn_stays_as_it_is(text: str) -> None:
    assert mask_text(text, []) == text


@given(st.text(), st.text(ALPHANUMERIC, min_size=4, max_size=20), st.text())
def test_no_text_leaks_a_known_mrn(before: str, mrn: str, after: str) -> None:
    assert mrn.lower() not in mask_text(before + mrn + after, [mrn]).lower()


@given(
    st.text("123456789", min_size=6, max_size=12),
    st.lists(st.text(" -.\u2011\u200b", max_size=2), min_size=12, max_size=12),
    st.text("xy ,"),
)
def test_no_text_leaks_the_digits_of_a_long_mrn(mrn: str, between: list[str], around: str) -> None:
    written = "".join(digit + gap for digit, gap in zip(mrn, between, strict=False))
    masked = mask_text(f"{around}{written}{around}", [mrn])
    assert mrn not in "".join(filter(str.isdecimal, masked))


@given(
    st.lists(st.text("1a-", min_size=4, max_size=6), min_size=1, max_size=3),
    st.text("1aA-", max_size=30),
)
def test_overlapping_mrns_do_not_leak(mrns: list[str], text: str) -> None:
    masked = mask_text(text, mrns).lower()
    assert not [mrn for mrn in mrns if mrn.lower() in masked]


@given(st.text(), st.text(ALPHANUMERIC, min_size=1, max_size=3), st.text())
def test_no_text_leaks_a_short_mrn_that_stands_alone(before: str, mrn: str, after: str) -> None:
    masked = mask_text(f"{before} <{mrn}> {after}", [mrn])
    assert f"<{mrn}>" not in masked


def test_json_is_masked_deeply_and_left_unchanged_itself() -> None:
    value = {
        "data": {
            "mrn": "000000",
            "note": "has a cold",
            "list": [MRN, 123456789, 1234567890, 5, 5.5, True, None, {"text": f"about {MRN}", "Notes": [1]}],
            f"key of {MRN}": 1,
            "visit_note": "x",
        },
        "patientMrn": 4455,
        "patient_mrns": ["1234", None, {"a": 12345}],
        "mrn": None,
    }
    before = copy.deepcopy(value)
    assert mask_json(value, [MRN]) == {
        "data": {
            "mrn": "***00",
            "list": ["***89", "***89", "***90", 5, 5.5, True, None, {"text": "about ***89"}],
            "key of ***89": 1,
        },
        "patientMrn": "***55",
        "patient_mrns": ["***34", None, {"a": "***45"}],
        "mrn": None,
    }
    assert value == before


def test_what_json_calls_an_mrn_is_masked_where_else_it_repeats_it() -> None:
    value = {
        "data": {
            "mrn": 77120045,
            "failure_reason": "no chart 77120045",
            "list": [{"why": "77-120-045", "n": 77120045}],
        },
        "listed": {"patientId": {"value": "Q-9934", "from": ["Z-5512"]}, "text": "q-9934, z5512"},
    }
    assert mask_text("77120045 or Q-9934 or z5512", know_named(value)) == "***45 or ***34 or ***12"
    assert mask_json(value, []) == {
        "data": {"mrn": "***45", "failure_reason": "no chart ***45", "list": [{"why": "***45", "n": "***45"}]},
        "listed": {"patientId": {"value": "***34", "from": ["***12"]}, "text": "***34, ***12"},
    }


def test_numbers_are_masked_in_every_form() -> None:
    assert mask_json([123456789.0, 1.23456789e8, -123456789, 123456.789, 12.5, 10**40], [MRN]) == [
        "***89.0",
        "***89.0",
        "-***89",
        "***89",
        12.5,
        10**40,
    ]


def test_keys_that_name_a_patient_are_left_out() -> None:
    value = {
        "patient": {"anything": 1},
        "patient_first_name": "x",
        "Patient-Name": "x",
        "dob": "x",
        "phoneNumber": "x",
        "provider_name": "Dr. Smith",
        "conflict": {"e-mail": "x", "time": "10:00"},
    }
    assert mask_json(value, []) == {"provider_name": "Dr. Smith", "conflict": {"time": "10:00"}}


def test_what_json_calls_a_note_or_a_name_is_masked_where_else_it_repeats_it() -> None:
    value = {"patient": {"name": "Jane Doe"}, "visit_note": "has a cold", "why": "Jane Doe: HAS A COLD", "n": ["cold"]}
    assert mask_json(value, []) == {"why": "***oe: ***LD", "n": ["cold"]}


def test_json_that_names_more_mrns_than_can_be_looked_for_is_not_shown() -> None:
    assert mask_json({"mrns": [str(number) for number in range(501)]}, []) == {}
    assert mask_json([{"mrns": list(range(501))}], []) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON, st.text(ALPHANUMERIC, min_size=4, max_size=12))
def test_no_json_leaks_a_known_mrn(value: object, mrn: str) -> None:
    masked = mask_json({"a": value, "b": [mrn, {mrn: f"x{mrn}"}]}, [mrn])
    assert not [text for text in _texts(masked) if mrn.lower() in text.lower()]


def _texts(value: Any) -> list[str]:  # noqa: ANN401
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in _texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


@pytest.mark.parametrize("piece", ["mrn ", "mrn '", 'mrn""', "123456789", "mrn-", "medical record number ", "a"])
def test_hostile_text_takes_bounded_time(piece: str) -> None:
    started = time.process_time()
    mask_text(piece * (30_000 // len(piece)), [MRN, "aaaa", "a"])
    assert time.process_time() - started < 2
