"""Owns the reading of a webhook's body as JSON: whatever the bytes hold, nothing of it is lost or harmful later."""

import codecs
import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson


class Unreadable(Exception):  # noqa: N818 - it is what the quarantine calls such bytes
    """The bytes are not an event. `reason` says why and holds no value from the body."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_DEEPEST = 100  # Cobalt's own events nest to 4; a recursive reader further on must not run out of stack
_MOST_VALUES = 50_000  # Cobalt's own have some twenty; a megabyte of `[],[],` takes a second, in which nobody is served
_PLAIN_VALUES = 1_000  # more than any event has; what has them is counted before it is read
_LONGEST_INTEGER = 640  # digits: the lowest limit that Python can be set to for text to int and back
_TOO_DEEP = f"nested deeper than {_DEEPEST}"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # jsonb has no NUL, UTF-8 no lone surrogate


def read_body(raw: bytes) -> tuple[dict[str, Any], bool]:
    """Return the body as storable JSON, and whether nothing of it was lost on the way.

    Raises:
        Unreadable: not a JSON object in UTF-8, or far more values than any event has.
    """
    plain = _read_plain(raw)
    return _read_any(raw) if plain is None else (plain, True)


def _read_plain(raw: bytes) -> dict[str, Any] | None:
    """Read a body by orjson in a quarter of the time; None for one that has to be looked at more closely.

    orjson takes duplicate keys, and rounds numbers, without a word; but then it does not write the same bytes again.
    """
    if b"\\u" in raw or raw.count(b"{") + raw.count(b"[") > _DEEPEST or raw.count(b",") > _PLAIN_VALUES:
        return None
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) and orjson.dumps(body) == raw else None


def _read_any(raw: bytes) -> tuple[dict[str, Any], bool]:
    text = _decode(raw)
    brackets = text.count("{") + text.count("[")
    if brackets + text.count(",") > _MOST_VALUES:
        raise Unreadable(f"more than {_MOST_VALUES} values")
    reading = _Reading()
    try:
        body = json.loads(
            text,
            object_pairs_hook=reading.fields,
            parse_int=reading.integer,
            parse_float=reading.number,
            parse_constant=reading.constant,
        )
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON at character {error.pos}") from None
    except RecursionError:
        raise Unreadable(_TOO_DEEP) from None
    if not isinstance(body, dict):
        raise Unreadable("not a JSON object")
    # Only an escape can bring in a character that cannot be stored, and most bodies have none.
    if "\\u" not in text and brackets <= _DEEPEST:
        return body, reading.faithful
    storable = _storable_fields(body, _DEEPEST)
    return storable, reading.faithful and storable == body


class _Reading:
    """The hooks of one parse. `faithful` tells whether the values hold all that the text said."""

    def __init__(self) -> None:
        self.faithful = True

    def fields(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Take the last of duplicate keys, as JavaScript does."""
        fields = dict(pairs)
        if len(fields) != len(pairs):
            self.faithful = False
        return fields

    def integer(self, text: str) -> int | str:
        """Leave an integer that Python may refuse as its text."""
        if len(text) <= _LONGEST_INTEGER:
            return int(text)
        self.faithful = False
        return text

    def number(self, text: str) -> float | str:
        """Leave a number beyond a float's range as its text."""
        number = float(text)
        try:
            exact = Decimal(text) == Decimal(repr(number))
        except InvalidOperation:  # an exponent beyond even Decimal's
            exact = False
        if not exact:
            self.faithful = False
        return number if math.isfinite(number) else text

    @staticmethod
    def constant(_name: str) -> None:
        """Refuse what Python reads as a number and JSON does not know."""
        raise Unreadable("not JSON: NaN or Infinity")


def _decode(raw: bytes) -> str:
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 at byte {error.start}") from None
    if not text.strip():
        raise Unreadable("empty")
    return text


def _storable_fields(fields: dict[str, Any], depth: int) -> dict[str, Any]:
    return {_storable_text(key): _storable(value, depth - 1) for key, value in fields.items()}


def _storable(value: object, depth: int) -> object:
    if isinstance(value, str):
        return _storable_text(value)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        raise Unreadable(_TOO_DEEP)
    if isinstance(value, list):
        return [_storable(item, depth - 1) for item in value]
    return _storable_fields(value, depth)


def _storable_text(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)
