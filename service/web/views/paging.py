"""Pages of lists. A cursor carries what its list is narrowed down by, so that no address of a next page has to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import request, url_for
from marshmallow import ValidationError

from service.errors import InvalidCursorError
from service.web.policy.auth import sees_phi
from service.web.policy.context import cursors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from marshmallow import Schema

OF_A_PAGE = ("limit", "fields", "cursor")
"""Parameters that say what is shown of a list, not which list it is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a list.

    Args:
        query: The validated parameters, with those that the cursor carries.
        place: Where the page begins: the sort key and id of the row before it; None for the first.
        carried: What the list is narrowed down by, as it was sent; of no interest but to ``next_page``.
    """

    query: Mapping[str, Any]
    place: tuple[datetime, str] | None
    carried: Mapping[str, str]


def asked_of(schema: Schema, query: Mapping[str, Any]) -> Asked:
    """Find out what is asked of the list under way.

    Args:
        schema: Of its parameters; it names each as callers do.
        query: The parameters, as that schema has loaded them.

    Raises:
        InvalidCursorError: The cursor is not one of this list; or what is repeated beside it is not what it carries.
    """
    sent = {name: value for name, value in request.args.items() if name not in OF_A_PAGE}
    if "cursor" not in query:
        return Asked(query, None, sent)
    place, carried = cursors().decode(query["cursor"], _use())
    try:
        narrowed: dict[str, Any] = schema.load(carried)
    except ValidationError as error:  # an older version of this service took it
        raise InvalidCursorError from error
    if any(narrowed.get(name) != query[name] for name in sent):
        raise InvalidCursorError
    of_list = {name: value for name, value in narrowed.items() if name not in OF_A_PAGE}
    return Asked({**query, **of_list}, place, carried)


def next_page(asked: Asked, last: tuple[datetime, str] | None) -> tuple[str | None, dict[str, str]]:
    """Make the cursor of the next page, and the header that leads there.

    Args:
        asked: What was asked of the list.
        last: The sort key and id of the last row; None on the last page.
    """
    if last is None:
        return None, {}
    cursor = cursors().encode(last, asked.carried, _use())
    again = {name: request.args[name] for name in OF_A_PAGE if name in request.args}
    address = f"{url_for(str(request.endpoint))}?{urlencode(again | {'cursor': cursor})}"
    return cursor, {"Link": f'<{address}>; rel="next"'}


def _use() -> str:
    """Name the list, and whether its caller sees patients' data: who does not learns nothing from others' cursors."""
    return f"{request.endpoint} {'unmasked' if sees_phi() else 'masked'}"
