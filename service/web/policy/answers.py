"""Answers in JSON, written directly: schemas describe them, and a test holds the answers to the schemas."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_options_header

from service.domain.exact_json import document

if TYPE_CHECKING:
    from collections.abc import Mapping

STATED = {"charset": "utf-8", "header": "present"}
"""Parameters of a type that every answer holds to, whether its own type names them or not."""


def json_answer(
    body: Mapping[str, Any], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Make an answer of what JSON can hold; times are texts already."""
    return Response(document(body), status, headers, content_type="application/json")


def best_type(*types: str) -> str:
    """Choose the type of an answer by the header Accept: the first one unless the caller prefers another.

    A parameter such as ``charset=utf-8`` narrows nothing down where the answer holds to it or knows nothing of it.

    Args:
        types: Without parameters.

    Raises:
        NotAcceptable: The caller takes none of these.
    """
    accepted = request.accept_mimetypes
    if not accepted:
        return types[0]
    ranges = [(parse_options_header(value), quality) for value, quality in accepted]
    found = MIMEAccept((kind, quality) for (kind, asked), quality in ranges if _holds_to(asked)).best_match(types)
    if found is None:
        raise NotAcceptable
    return found


def is_named_with(kind: str, **parameters: str) -> bool:
    """Tell whether the header Accept names this type with these parameters."""
    ranges = [parse_options_header(value) for value, quality in request.accept_mimetypes if quality]
    return any(
        name == kind and all(asked.get(one, "").lower() == value for one, value in parameters.items())
        for name, asked in ranges
    )


def _holds_to(parameters: Mapping[str, str]) -> bool:
    return all(STATED.get(name, value.lower()) == value.lower() for name, value in parameters.items())
