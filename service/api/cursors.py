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
    from collections.abc import Mapping, Sequence

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
        return self.seal([at.isoformat(), row_id], listing)

    def decode(self, cursor: str, listing: Mapping[str, Any]) -> tuple[datetime, str]:
        """Read a cursor of this list.

        Raises:
            InvalidCursorError: It is not one.
        """
        at, row_id = self.unseal(cursor, listing)
        return datetime.fromisoformat(at), row_id

    def seal(self, place: Sequence[Any], tied_to: Mapping[str, Any]) -> str:
        """Make the cursor of a place, in whatever values of JSON describe it, for one use alone."""
        content = json.dumps(place).encode()
        return base64.urlsafe_b64encode(self._check(content, tied_to) + content).decode().rstrip("=")

    def unseal(self, cursor: str, tied_to: Mapping[str, Any]) -> list[Any]:
        """Read the place of a cursor.

        Raises:
            InvalidCursorError: It was not sealed for this use.
        """
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursorError from error
        check, content = sealed[:CHECK], sealed[CHECK:]
        if not hmac.compare_digest(check, self._check(content, tied_to)):
            raise InvalidCursorError
        place: list[Any] = json.loads(content)
        return place

    def _check(self, content: bytes, tied_to: Mapping[str, Any]) -> bytes:
        use = json.dumps(tied_to, sort_keys=True, default=str).encode()
        return hmac.digest(self._key, use + b"\0" + content, "sha256")[:CHECK]
