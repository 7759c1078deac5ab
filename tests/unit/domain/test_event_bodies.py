"""The quick way of reading a body must not differ from the thorough one in anything but time."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.event_bodies import _read_any, _read_plain
from tests.seed_payloads import SEED_PAYLOADS

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(OBJECTS)
def test_what_is_read_quickly_is_what_a_thorough_look_finds(value: dict[str, object]) -> None:
    raw = compact(value)
    plain = _read_plain(raw)
    if plain is not None:
        body, faithful = _read_any(raw)
        assert faithful
        assert orjson.dumps(plain) == orjson.dumps(body) == raw
        assert (plain, repr(plain)) == (body, repr(body))  # 1, 1.0 and True are equal


@given(OBJECTS, st.data())
def test_a_changed_byte_is_read_the_same_both_ways(value: dict[str, object], data: st.DataObject) -> None:
    raw = bytearray(compact(value))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    plain = _read_plain(bytes(raw))
    if plain is not None:
        body, faithful = _read_any(bytes(raw))
        assert faithful
        assert (plain, repr(plain)) == (body, repr(body))


@pytest.mark.parametrize("name", sorted(SEED_PAYLOADS))
def test_an_event_as_cobalt_writes_it_is_read_quickly(name: str) -> None:
    raw = compact(json.loads(SEED_PAYLOADS[name]))
    assert _read_plain(raw) == _read_any(raw)[0]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',  # a value would be lost
        b'{"a":100000000000000000000}',  # a number would be rounded
        b'{"a":1.00000000000000001}',
        b'{"a":1e400}',
        b'{"a":"\\u0000"}',  # PostgreSQL would refuse it
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b"[1]",
        b"",
        b"\xff",
        b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"a":[' + b"1," * 2000 + b"1]}",
    ],
    ids=repr,
)
def test_what_could_lose_something_or_do_harm_is_looked_at_closely(raw: bytes) -> None:
    assert _read_plain(raw) is None
