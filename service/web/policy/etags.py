"""ETags of appointments: the version of the row, and a digest of what the caller sees of it.

The digest tells whether an answer is known already (``If-None-Match``), the version whether the appointment is still
the one that a caller decided about (``If-Match``), whatever another key sees of it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import request
from werkzeug.exceptions import PreconditionFailed
from werkzeug.http import generate_etag, quote_etag

from service.web.policy.answers import json_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Response


class ChangedMeanwhile(PreconditionFailed):
    """The appointment is no longer the one that the header If-Match names.

    Args:
        etag: What it has now.
    """

    def __init__(self, etag: str) -> None:
        super().__init__()
        self._etag = etag

    def get_headers(self, *args: Any, **rest: Any) -> list[tuple[str, str]]:
        """Add the ETag to the headers of the answer."""
        return [*super().get_headers(*args, **rest), ("ETag", quote_etag(self._etag))]


def appointment_answer(
    shown: Mapping[str, Any], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer an appointment, with its ETag."""
    answer = json_answer(shown, status, headers)
    answer.set_etag(_etag(shown["version"], answer.get_data()))
    return answer


def answer_unless_known(shown: Mapping[str, Any]) -> Response:
    """Answer an appointment, or 304 to who has exactly that already, by the header If-None-Match.

    Whatever changes what this caller sees changes the ETag, be it the row, the time that makes it overdue, the caller's
    scopes or a newer version of this service.
    """
    answer = appointment_answer(shown, headers={"Cache-Control": "no-store"})
    etag, _ = answer.get_etag()
    if etag and request.if_none_match.contains_weak(etag):
        answer.status_code = HTTPStatus.NOT_MODIFIED
        answer.set_data(b"")
    return answer


def refuse_if_changed(shown: Mapping[str, Any]) -> None:
    """Refuse a write that was decided about another version, by the header If-Match.

    Args:
        shown: The appointment as it is and, under the lock of its row, stays until the write is done.

    Raises:
        ChangedMeanwhile: The header names other versions only. A weak ETag is one of no version (RFC 9110, 13.1.1).
    """
    if "If-Match" not in request.headers:
        return
    named = request.if_match
    versions = {etag.partition("-")[0] for etag in named.as_set() if etag}  # werkzeug reads `""` as None
    if named.star_tag or str(shown["version"]) in versions:
        return
    raise ChangedMeanwhile(_etag(shown["version"], json_answer(shown).get_data()))


def _etag(version: int, content: bytes) -> str:
    return f"{version}-{generate_etag(content)}"
