"""The list of appointments: a page of it as JSON or CSV, or all of it as a CSV file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Response

from service.postgres.queries import appointment_views
from service.web.policy.answers import best_type, is_named_with, json_answer
from service.web.policy.auth import sees_phi
from service.web.policy.context import overdue_before, reading_once
from service.web.policy.reads import access, record_read
from service.web.schemas.list_query import PER_PAGE, SHOWN, ListQuery
from service.web.views import representation
from service.web.views.appointment_csv import BYTE_ORDER_MARK, CONTENT_TYPE, csv_pieces
from service.web.views.appointment_file import csv_file
from service.web.views.guessing import refuse_guesses, shows
from service.web.views.paging import asked_of, next_page

if TYPE_CHECKING:
    from collections.abc import Mapping


JSON, CSV = "application/json", "text/csv"


def answer_list(query: Mapping[str, Any]) -> Response:
    """Answer what was asked of the list.

    Args:
        query: As ``ListQuery`` loads it.

    Raises:
        InvalidCursorError: The cursor is not one of this list.
        ScopeMissingError: A filter would confirm a guess at what the caller must not see.
        NotAcceptable: The caller takes neither JSON nor CSV.
    """
    kind = best_type(JSON, CSV)
    refuse_guesses(query)
    asked = asked_of(ListQuery(), query)
    listing, after = ListQuery.listing(asked.query), asked.place
    names = tuple(dict.fromkeys(query.get("fields_", SHOWN)))
    unmasked, before = sees_phi(), overdue_before()
    keep = None if unmasked else partial(shows, listing.filters)
    beginning = BYTE_ORDER_MARK if is_named_with(CSV, charset="utf-8") else ""
    if kind == CSV and "limit" not in query:
        return csv_file(
            listing,
            after=after,
            names=names,
            access=access(listing.filters) if unmasked else None,
            keep=keep,
            beginning=beginning,
            overdue_before=before,
        )
    with reading_once() as connection:
        page = appointment_views.list_appointments(
            connection, listing, after=after, limit=query.get("limit", PER_PAGE), overdue_before=before, keep=keep
        )
        record_read(connection, [row.id for row in page.rows], filters=listing.filters)
    next_cursor, link = next_page(asked, page.last)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"} | link
    shown = [representation.appointment(row, unmasked=unmasked, overdue_before=before) for row in page.rows]
    if kind == CSV:
        text = "".join(csv_pieces(shown, names, unmasked=unmasked, beginning=beginning))
        return Response(text, headers=headers, content_type=CONTENT_TYPE)
    if names != SHOWN:
        shown = [{name: one[name] for name in names} for one in shown]
    return json_answer({"data": shown, "next_cursor": next_cursor}, headers=headers)
