"""Numbers of JSON are written as they were read, with all their digits and in the same way."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.exact_json import EXACTLY, Exact, document, is_kept_by_jsonb, numbers
from service.domain.masking import mask_json

AS_JSONB = [
    "0", "-7", "1.5", "0.001", "1.10", "12345678901234567890", "-0.1000000000000000055", "9" * 400, "1" * 30 + ".5",
]  # fmt: skip
ELSE = ["1e400", "1E400", "1e5", "1.0e+2", "12e-3", "-0", "-0.0", "0e0", "1e16", "2.5e-7", "-1e-400"]


def read(text: str) -> Any:  # noqa: ANN401 (JSON)
    return json.loads(text, **EXACTLY)


@pytest.mark.parametrize("number", [*AS_JSONB, *ELSE])
def test_a_number_is_written_as_it_was_read(number: str) -> None:
    text = f'{{"a":[{number},{{"b":{number}}}],"c":12345678901234567890123}}'
    assert document(read(text)).decode() == text
    assert document(read(number)).decode() == number


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True))
def test_any_number_is_written_as_it_was_read(number: str) -> None:
    assert document([read(number)]).decode() == f"[{number}]"


@pytest.mark.parametrize("number", AS_JSONB)
def test_what_jsonb_writes_in_the_same_way_is_known(number: str) -> None:
    assert is_kept_by_jsonb({"a": [read(number)]})


@pytest.mark.parametrize("number", ELSE)
def test_what_jsonb_writes_in_another_way_is_known(number: str) -> None:
    assert not is_kept_by_jsonb({"a": [read(number)]})


@pytest.mark.parametrize("number", [*AS_JSONB, *ELSE])
def test_a_number_written_out_is_no_longer_than_is_said(number: str) -> None:
    [one] = numbers({"a": [read(number)]})
    room = len(number) + (one.written_out if isinstance(one, Exact) else 0)
    assert len(format(Decimal(number), "f")) <= room + 1  # for a zero in front of a point


@pytest.mark.parametrize("number", ["1e9999999999", "1e-00099999999", "1E+0000000000000099999999"])
def test_a_number_that_would_never_end_is_known(number: str) -> None:
    [one] = numbers(read(number))
    assert isinstance(one, Exact)
    assert one.written_out > 10**7


def test_an_integer_of_thousands_of_digits_is_still_no_number() -> None:
    with pytest.raises(ValueError, match="digits"):
        read("9" * 5000)


def test_what_cannot_be_written_is_refused() -> None:
    for odd in ({"a": "\ud800"}, {"a": object()}):
        with pytest.raises(TypeError):
            document(odd)


@pytest.mark.parametrize("number", ["1.23456789e8", "123456789", "1234567890000e-4", "123456789.10", "0.123456789e9"])
def test_a_number_that_is_an_mrn_is_masked_however_it_is_written(number: str) -> None:
    masked = document(mask_json(read(f'{{"x":{number}}}'), ["123456789"]))
    assert orjson.loads(masked)["x"].startswith("***")


@pytest.mark.parametrize("number", ["1.10", "1e400", "98765432109876543210", "2.5e-7"])
def test_another_number_is_left_as_it_is(number: str) -> None:
    text = f'{{"x":{number}}}'
    assert document(mask_json(read(text), ["123456789"])).decode() == text
