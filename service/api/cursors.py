"""Cursors: opaque to the caller, tied to the list that they belong to, and refused when altered or made up."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from service.errors import InvalidCursorError

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECK = 16
"""Bytes of the check: too many to guess."""


class Cursors:
    """Makes and reads cursors. All instances have the same secret, so each reads what another made.

    Args:
        secret: A setting that no caller knows; what is used here is derived from it and of use for nothing else.
    """

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"cobalt-appointments: cursors of lists", "sha256")

    def encode(self, last: tuple[datetime, str], listing: Mapping[str, Any]) -> str:
        """Make the cursor of the page that begins after this row.

        Args:
            last: The sort key and id of the last row.
            listing: What makes this list this list: its filters and its order.
        """
        at, row_id = last
        place = json.dumps([at.isoformat(), row_id]).encode()
        return base64.urlsafe_b64encode(self._check(place, listing) + place).decode().rstrip("=")

    def decode(self, cursor: str, listing: Mapping[str, Any]) -> tuple[datetime, str]:
        """Read a cursor of this list.

        Raises:
            InvalidCursorError: It is not one.
        """
        try:
            content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursorError from error
        check, place = content[:CHECK], content[CHECK:]
        if not hmac.compare_digest(check, self._check(place, listing)):
            raise InvalidCursorError
        at, row_id = json.loads(place)
        return datetime.fromisoformat(at), row_id

    def _check(self, place: bytes, listing: Mapping[str, Any]) -> bytes:
        tied_to = json.dumps(listing, sort_keys=True, default=str).encode()
        return hmac.digest(self._key, tied_to + b"\0" + place, "sha256")[:CHECK]
