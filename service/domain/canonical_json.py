"""One form for all ways to write the same JSON: whatever is equal in meaning is equal byte for byte."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


def canonical(raw: bytes) -> bytes:
    """Write JSON so that the order of names, white space, escapes and the forms of numbers make no difference.

    Numbers are compared as they are written, without rounding: ``1``, ``1.0`` and ``1e0`` are the same, and two that
    differ in their twentieth digit are not.

    Args:
        raw: A body; what is no JSON means only itself, byte for byte.
    """
    try:
        value = json.loads(raw.decode(), parse_int=Decimal, parse_float=Decimal)
        return json.dumps(_marked(value), sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, ArithmeticError, RecursionError):
        return raw


def _marked(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Make texts of numbers, and mark both, so that none is taken for the other."""
    if isinstance(value, dict):
        return {name: _marked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_marked(inner) for inner in value]
    if isinstance(value, str):
        return f"text {value}"
    return f"number {_shortest(value)}" if isinstance(value, Decimal) else value


def _shortest(number: Decimal) -> str:
    """Write a number without zeros at its end; ``Decimal.normalize`` would round it."""
    sign, digits, exponent = number.as_tuple()
    written = "".join(map(str, digits))
    significant = written.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' * sign}{significant}e{int(exponent) + len(written) - len(significant)}"
