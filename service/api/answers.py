"""Answers in JSON, written directly: schemas describe them, and a test holds the answers to the schemas."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, request
from werkzeug.exceptions import NotAcceptable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def json_answer(
    body: Mapping[str, Any], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Make an answer of what JSON can hold; times are texts already."""
    return Response(_ENCODER.encode(body), status, headers, content_type="application/json")


def best_type(*types: str) -> str:
    """Choose the type of an answer by the header Accept: the first one unless the caller prefers another.

    Raises:
        NotAcceptable: The caller takes none of these.
    """
    accepted = request.accept_mimetypes
    found = accepted.best_match(types) if accepted else types[0]
    if found is None:
        raise NotAcceptable
    return found
