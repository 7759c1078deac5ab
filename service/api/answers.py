"""Answers in JSON, written directly: schemas describe them, and a test holds the answers to the schemas."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def json_answer(
    body: Mapping[str, Any], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Make an answer of what JSON can hold; times are texts already."""
    return Response(_ENCODER.encode(body), status, headers, content_type="application/json")
