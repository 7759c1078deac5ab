"""The list of appointments, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import request, url_for

from service.api import representation
from service.api.answers import json_answer
from service.api.auth import sees_phi
from service.api.context import engine, overdue_before, settings
from service.api.cursors import Cursors
from service.api.list_query import PER_PAGE, SHOWN, ListQuery
from service.db import transaction
from service.store import appointment_views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Response


def answer_list(query: Mapping[str, Any]) -> Response:
    """Answer what was asked of the list.

    Args:
        query: As ``ListQuery`` loads it.

    Raises:
        InvalidCursorError: The cursor is not one of this list.
    """
    listing = ListQuery.listing(query)
    tied_to = {**listing.filters, "sort": listing.sort}
    cursors = Cursors(settings().cobalt_client_secret)
    after = cursors.decode(query["cursor"], tied_to) if "cursor" in query else None
    names = tuple(dict.fromkeys(query.get("fields_", SHOWN)))
    unmasked, before = sees_phi(), overdue_before()
    with transaction(engine()) as session:
        page = appointment_views.list_appointments(
            session, listing, after=after, limit=query.get("limit", PER_PAGE), overdue_before=before
        )
    next_cursor = cursors.encode(page.last, tied_to) if page.last else None
    headers = _headers(next_cursor)
    shown = [representation.appointment(row, unmasked=unmasked, overdue_before=before) for row in page.rows]
    if names != SHOWN:
        shown = [{name: one[name] for name in names} for one in shown]
    return json_answer({"data": shown, "next_cursor": next_cursor}, headers=headers)


def _headers(next_cursor: str | None) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if next_cursor:
        asked = {**request.args, "cursor": next_cursor}
        headers["Link"] = f'<{url_for("appointments.AppointmentList")}?{urlencode(asked)}>; rel="next"'
    return headers
