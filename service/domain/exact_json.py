"""Owns JSON whose numbers stay as they were written: with more digits than a float has, zeros at the end, exponents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 2**63
"""Beyond this orjson takes no integer."""


class Exact(float):
    """A number whose float would be written in another way; ``str`` writes it as it was.

    Whatever only reckons with it takes it for the float, which may be infinite.
    """

    __slots__ = ("_text",)
    _text: str

    def __new__(cls, text: str) -> Self:
        """Keep a number as JSON has it."""
        made = super().__new__(cls, text)
        made._text = text
        return made

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__

    @property
    def written_out(self) -> int:
        """How many characters more it has, at most, as jsonb writes it: without an exponent."""
        _, _, exponent = self._text.lower().partition("e")
        return int(exponent.lstrip("+-0")[:9] or 0)


def _integer(text: str) -> int | Exact:
    number = int(text)  # raises a ValueError where there are thousands of digits
    return Exact(text) if text == "-0" else number


def _number(text: str) -> float | Exact:
    number = float(text)
    return number if repr(number) == text and "e" not in text and text != "-0.0" else Exact(text)


EXACTLY: dict[str, Any] = {"parse_int": _integer, "parse_float": _number}
"""Arguments with which ``json.loads`` and the like read numbers exactly."""


def document(value: Any) -> bytes:  # noqa: ANN401 (JSON)
    """Write JSON: an answer, or a parameter for PostgreSQL to take apart; times become RFC 3339.

    A driver would write arrays element by element in Python; orjson takes a microsecond where the standard library
    takes ten.
    """
    try:
        return orjson.dumps(value, default=_write)
    except TypeError:
        return orjson.dumps(_in_reach(value), default=_write)


def _write(value: object) -> orjson.Fragment:
    if isinstance(value, Exact):
        return orjson.Fragment(str(value))
    raise TypeError(type(value).__name__)


def _in_reach(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Have integers that PostgreSQL keeps, and that orjson has no room for, written like numbers with more digits."""
    if isinstance(value, dict):
        return {name: _in_reach(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_reach(item) for item in value]
    return Exact(str(value)) if isinstance(value, int) and not -LARGEST <= value < LARGEST else value


def numbers(value: Any) -> Iterator[float]:  # noqa: ANN401 (JSON)
    """Go through all numbers in JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def is_kept_by_jsonb(value: Any) -> bool:  # noqa: ANN401 (JSON)
    """Tell whether PostgreSQL's jsonb, which keeps a number's value and digits, writes all numbers as they were too."""
    return not any(
        isinstance(one, Exact) and ("e" in str(one).lower() or (not one and str(one).startswith("-")))
        for one in numbers(value)
    )
