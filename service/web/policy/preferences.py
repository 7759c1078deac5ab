"""The header ``Prefer`` (RFC 7240), as far as it is about how a request is handled."""

from __future__ import annotations

from flask import Response, request
from werkzeug.http import parse_options_header

LENIENT = "handling=lenient"


def is_lenient() -> bool:
    """Tell whether the caller prefers that what looks wrong is taken all the same."""
    preferences = ",".join(request.headers.getlist("Prefer")).split(",")
    return any(parse_options_header(one.strip())[0].replace(" ", "").lower() == LENIENT for one in preferences)


def say_lenient(answer: Response) -> Response:
    """Say in an answer that the preference was followed."""
    if is_lenient():
        answer.headers.add("Preference-Applied", LENIENT)
    return answer
