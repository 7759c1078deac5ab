"""A text that went into a cell of our CSV comes out of it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.requests.csv_cells import protected, protected_as_value, unprotected

texts = st.text() | st.text(alphabet="'=+-@\t\r\nx1") | st.text(alphabet="'\uff1d\uff0b\uff0d\uff20")


@given(texts)
def test_what_was_protected_is_found_again(text: str) -> None:
    assert unprotected(protected(text)) == text


@given(texts)
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    assert protected(text)[:1] not in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


@pytest.mark.parametrize("text", ["", "'", "'t Hart", "''", "O'Hara", "Dr. Smith", "A-12", "123456789", "12345678901"])
def test_a_quote_that_protects_nothing_stays(text: str) -> None:
    assert protected(text) == unprotected(text) == text


REWRITTEN = (
    *("00123", "007 ", " 007", "123456789012", "1234567890123456", "1.50", "1,234", "1.", "12-34", "1/2", "3/4/2030"),
    *("2030-01-15", "10:00", "10:00:30", "1E5", "1e+05", "12.5E-3", "12%", "$5", "5 \u20ac", "MAR1", "SEPT2", "1-MAR"),
    *("DEC 12", "12 Dez 2030", "m\u00e4r 3", "TRUE", "Falsch", "\uff10\uff11\uff12"),
)


@pytest.mark.parametrize("text", REWRITTEN)
def test_what_a_spreadsheet_would_rewrite_is_marked_as_text(text: str) -> None:
    assert protected(text) == f"'{text}"
    assert unprotected(f"'{text}") == text
    assert protected(f"'{text}") == f"''{text}"
    assert unprotected(text) == text


@pytest.mark.parametrize("text", ["2030-01-15", "10:00", "true", "030", "Dr. Smith"])
def test_a_day_or_a_time_of_ours_is_left_for_it_to_read(text: str) -> None:
    assert protected_as_value(text) == text
    assert protected_as_value(f"={text}") == f"'={text}"


@given(st.from_regex(r"[0-9.,:/\- eE%]{1,20}", fullmatch=True))
def test_digits_go_there_and_back(text: str) -> None:
    assert unprotected(protected(text)) == text


@given(st.from_regex(r"0[0-9]{1,30}|[0-9]{12,30}", fullmatch=True))
def test_no_number_is_left_that_a_spreadsheet_would_change(text: str) -> None:
    assert protected(text)[0] == "'"
