"""Reads the JSON of a request, and refuses to choose where it says something twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from service.domain.exact_json import EXACTLY
from service.errors import InvalidFieldsError

if TYPE_CHECKING:
    from collections.abc import Collection

_TWICE = object()
"""Stands where a name has two values."""


def read_json(raw: bytes, known: Collection[str]) -> Any:  # noqa: ANN401 (JSON)
    """Read a body.

    RFC 8259 leaves it open what a name means that an object has twice; Python takes the last, others the first. So two
    systems that look at one request may see two patients in it.

    Args:
        raw: The bytes of the body.
        known: The names of the fields that it may have. Others are the caller's own, may hold anything, and are
            therefore not repeated in an error.

    Raises:
        InvalidFieldsError: A name is there twice, anywhere in it; the pointers lead to the known fields.
        ValueError: It is not JSON in UTF-8.
    """
    body = json.loads(raw.decode(), object_pairs_hook=_object, **EXACTLY)
    doubled = {}
    for name, value in body.items() if isinstance(body, dict) else ():
        pointer = f"/{name}" if name in known else ""
        if value is _TWICE:
            doubled[pointer] = "Is there twice; give it once." if pointer else "Has a name twice that is no field."
        elif _holds_doubled(value):
            doubled[pointer] = "Holds an object that has a name twice."
    if doubled:
        raise InvalidFieldsError(doubled)
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = _TWICE if name in found else value
    return found


def _holds_doubled(value: Any) -> bool:  # noqa: ANN401 (JSON)
    """Look through a value without recursion: nobody has judged yet how deep it is."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if one is _TWICE:
            return True
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return False
