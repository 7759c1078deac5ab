"""Cursors: opaque to the caller, of use for the list that they belong to, and refused when altered or made up."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

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
        # A nonce of its own for each would need a source of them; this cipher (RFC 5297) needs none.
        self._cipher = AESSIV(hmac.digest(secret.encode(), b"cobalt-appointments: contents of cursors", "sha512"))

    def encode(self, last: tuple[datetime, str], carried: Mapping[str, str], use: str) -> str:
        """Make the cursor of the page that begins after this row.

        Args:
            last: The sort key and id of the last row.
            carried: What the list is narrowed down by, as it was asked for. It may name a patient, so it is encrypted.
            use: Which list, and for whom; the cursor is good there alone.
        """
        at, row_id = last
        content = json.dumps([at.isoformat(), row_id, carried], ensure_ascii=False, separators=(",", ":"))
        return _written(self._cipher.encrypt(content.encode(), [use.encode()]))

    def decode(self, cursor: str, use: str) -> tuple[tuple[datetime, str], dict[str, str]]:
        """Read a cursor: where its page begins, and what it carries.

        Raises:
            InvalidCursorError: It was not made for this use.
        """
        try:
            content = self._cipher.decrypt(_read(cursor), [use.encode()])
        except (InvalidTag, ValueError) as error:
            raise InvalidCursorError from error
        at, row_id, carried = json.loads(content)
        return (datetime.fromisoformat(at), row_id), carried

    def seal(self, place: Sequence[Any], tied_to: Mapping[str, Any]) -> str:
        """Make the cursor of a place, in whatever values of JSON describe it, for one use alone; it can be read."""
        content = json.dumps(place).encode()
        return _written(self._check(content, tied_to) + content)

    def unseal(self, cursor: str, tied_to: Mapping[str, Any]) -> list[Any]:
        """Read the place of a cursor.

        Raises:
            InvalidCursorError: It was not sealed for this use.
        """
        sealed = _read(cursor)
        check, content = sealed[:CHECK], sealed[CHECK:]
        if not hmac.compare_digest(check, self._check(content, tied_to)):
            raise InvalidCursorError
        place: list[Any] = json.loads(content)
        return place

    def _check(self, content: bytes, tied_to: Mapping[str, Any]) -> bytes:
        use = json.dumps(tied_to, sort_keys=True, default=str).encode()
        return hmac.digest(self._key, use + b"\0" + content, "sha256")[:CHECK]


def _written(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursorError from error
