"""A text that went into a cell of our CSV comes out of it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.csv_cells import protected, unprotected

texts = st.text() | st.text(alphabet="'=+-@\t\r\nx1") | st.text(alphabet="'\uff1d\uff0b\uff0d\uff20")


@given(texts)
def test_what_was_protected_is_found_again(text: str) -> None:
    assert unprotected(protected(text)) == text


@given(texts)
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    assert protected(text)[:1] not in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


@pytest.mark.parametrize("text", ["", "'", "'t Hart", "''", "O'Hara", "'00123", "00123"])
def test_a_quote_that_protects_nothing_stays(text: str) -> None:
    assert protected(text) == unprotected(text) == text
