"""Pages of the lists for those who operate the service."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for

from service.api.context import cursors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flask.typing import ResponseReturnValue


def find_place(query: Mapping[str, Any], listing: Mapping[str, Any]) -> tuple[datetime, str] | None:
    """Find where a page begins; None for the first. Raises InvalidCursorError.

    Args:
        query: The validated parameters.
        listing: What makes this list this list: its name and its filters.
    """
    return cursors().decode(query["cursor"], listing) if "cursor" in query else None


def page(
    endpoint: str,
    shown: Sequence[Mapping[str, Any]],
    last: tuple[datetime, str] | None,
    *,
    query: Mapping[str, Any],
    listing: Mapping[str, Any],
) -> ResponseReturnValue:
    """Answer one page, with a cursor and a link to the next.

    Args:
        endpoint: Flask's name of the list.
        shown: What is on it.
        last: Time and id of the last row; None on the last page.
        query: The validated parameters.
        listing: As for ``find_place``.
    """
    if last is None:
        return {"data": shown, "next_cursor": None}
    cursor = cursors().encode(last, listing)
    again: dict[str, Any] = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in query.items()
        if name != "cursor"
    }
    following = url_for(endpoint, **again, cursor=cursor)
    return {"data": shown, "next_cursor": cursor}, HTTPStatus.OK, {"Link": f'<{following}>; rel="next"'}
