"""Cursors: opaque to the caller, tied to the list that they belong to, and refused when altered."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECK = 9
"""Bytes of a digest that tell a slip of the keyboard, or another list's cursor, from this list's."""


class BadCursorError(ValueError):
    """The cursor was altered, cut short, or belongs to a list with other filters or another order."""


def encode(last: tuple[datetime, str], listing: Mapping[str, Any]) -> str:
    """Make the cursor of the page that begins after this row.

    Args:
        last: The sort key and id of the last row.
        listing: What makes this list this list: its filters and its order.
    """
    at, row_id = last
    place = json.dumps([at.isoformat(), row_id]).encode()
    return base64.urlsafe_b64encode(_check(place, listing) + place).decode().rstrip("=")


def decode(cursor: str, listing: Mapping[str, Any]) -> tuple[datetime, str]:
    """Read a cursor of this list.

    Raises:
        BadCursorError: It is not one.
    """
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCursorError from error
    check, place = content[:CHECK], content[CHECK:]
    if check != _check(place, listing):
        raise BadCursorError
    try:
        at, row_id = json.loads(place)
        return datetime.fromisoformat(at), str(row_id)
    except (ValueError, TypeError) as error:
        raise BadCursorError from error


def _check(place: bytes, listing: Mapping[str, Any]) -> bytes:
    tied_to = json.dumps(listing, sort_keys=True, default=str).encode()
    return hashlib.sha256(tied_to + b"\0" + place).digest()[:CHECK]
