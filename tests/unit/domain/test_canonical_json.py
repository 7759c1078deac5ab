"""What counts as the same JSON, and what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.canonical_json import canonical

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":2}', '{ "b" : 2,\n"a" : 1 }'),
        ('{"a":{"x":[1,2],"y":null}}', '{"a":{"y":null,"x":[1,2]}}'),
        ('"Zo\u00eb/"', '"Zo\\u00EB\\/"'),
        ('"\U0001fa7a"', '"\\ud83e\\ude7a"'),
        ("[1, 10, 0.5, -0]", "[1.0, 1e1, 5E-1, 0]"),
        ("1e400", "10e399"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
    ],
)
def test_the_same_written_differently_is_the_same(one: str, other: str) -> None:
    assert canonical(one.encode()) == canonical(other.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":null}', "{}"),
        ('{"a":""}', '{"a":null}'),
        ("[1,2]", "[2,1]"),
        ('"number 1e0"', "1"),
        ('"\u00fc"', '"u\u0308"'),
        ("9007199254740993", "9007199254740992"),
        ("0.1", "0.1000000000000000055511151231257827021181583404541015625"),
        ("1e400", "1e401"),
        ("-1", "1"),
        ('"a"', '"A"'),
    ],
)
def test_what_differs_in_meaning_differs(one: str, other: str) -> None:
    assert canonical(one.encode()) != canonical(other.encode())


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b"1e" + b"9" * 30, b"\xef\xbb\xbf1"])
def test_what_is_no_json_means_only_itself(raw: bytes) -> None:
    assert canonical(raw) == raw


@given(value=JSON, other=JSON)
def test_any_value_is_equal_to_itself_in_any_writing_and_to_no_other(value: Any, other: Any) -> None:  # noqa: ANN401
    plain = canonical(json.dumps(value, sort_keys=True).encode())
    assert plain == canonical(json.dumps(value, indent=3, ensure_ascii=False).encode("utf-8", "backslashreplace"))
    same = json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert not same or plain == canonical(json.dumps(other).encode())
