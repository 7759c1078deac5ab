"""Two systems write the same text in different ways; it is still the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.domain.comparing import comparable, comparable_name

WAYS = {
    "composed": "Dr. M\u00fcller",
    "decomposed": "Dr. Mu\u0308ller",
    "two blanks": "Dr.  M\u00fcller",
    "a tab": "Dr.\tM\u00fcller",
    "a blank that does not break": "Dr.\u00a0M\u00fcller",
    "a narrow one": "Dr.\u202fM\u00fcller",
    "a wide one": "Dr.\u3000M\u00fcller",
    "around": " \u00a0\tDr. M\u00fcller\r\n\u2003",
    "a byte order mark": "\ufeffDr. M\u00fcller",
    "a blank of no width": "Dr. M\u00fcl\u200bler\u200b",
    "a joiner between base and accent": "Dr. Mu\u2060\u0308ller",
    "a soft hyphen": "Dr. M\u00fcl\u00adler",
    "marks of direction": "\u202aDr. M\u00fcller\u202c\u200e",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_text_is_the_same_in_whatever_way_it_is_written(way: str) -> None:
    assert comparable(WAYS[way]) == "Dr. M\u00fcller"
    assert comparable_name(WAYS[way]) == "dr. m\u00fcller"


@pytest.mark.parametrize(
    ("one", "other"),
    [("0123", "123"), ("12 3", "123"), ("A1", "a1"), ("M\u00fcller", "Muller"), ("1-2", "12"), ("\uff11", "1")],
)
def test_what_may_be_another_patient_is_not_the_same(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Dr. SMITH", "dr. smith"), ("STRASSE", "stra\u00dfe"), ("\u01f0", "\u01f0".upper())]
)
def test_the_case_of_a_name_does_not_count(one: str, other: str) -> None:
    assert comparable_name(one) == comparable_name(other)
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize("blank", ["", " ", "\u00a0\u2003", "\u200b", "\ufeff\u2060", "\u3164", "\r\n\t"])
def test_what_nobody_can_see_is_nothing(blank: str) -> None:
    assert comparable(blank) == ""


@given(st.text())
@example("u\u2060\u0308")
@example("a\u00a0\u0308")
def test_the_form_is_its_own_form_and_composed_and_without_odd_blanks(text: str) -> None:
    for form in (comparable, comparable_name):
        once = form(text)
        assert form(once) == once
        assert unicodedata.is_normalized("NFC", once)
        assert once == once.strip()
        assert not any(one.isspace() and one != " " for one in once)
        assert "  " not in once


@given(st.text(), st.sampled_from(["NFC", "NFD"]))
def test_how_accents_are_composed_never_counts(text: str, form: str) -> None:
    written: str = unicodedata.normalize("NFC" if form == "NFC" else "NFD", text)
    assert comparable(written) == comparable(text)
    assert comparable_name(written) == comparable_name(text)
