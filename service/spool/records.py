"""One event as the spool keeps it, with a digest, so that data which a disk corrupted is never used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Spooled:
    """One authentic body that waits on disk.

    Args:
        id: Its place in the order of arrival; 0 before it is stored.
        raw: The body, byte for byte.
        received_at: When it came.
        request_id: Of the HTTP request that brought it.
    """

    raw: bytes
    received_at: datetime
    request_id: str | None = None
    id: int = 0


def written(body: Spooled) -> tuple[object, ...]:
    """Write a record: time of receipt, request id, body, digest."""
    received_at = body.received_at.isoformat()
    return received_at, body.request_id, body.raw, _digest(received_at, body.request_id, body.raw)


def read(row_id: int, received_at: str, request_id: str | None, raw: bytes, digest: bytes) -> Spooled | None:
    """Read a record; None if it is damaged."""
    try:
        if _digest(received_at, request_id, raw) == digest:
            return Spooled(raw, datetime.fromisoformat(received_at), request_id, row_id)
    except (ValueError, TypeError, AttributeError):  # a flipped bit can change the type as well
        pass
    return None


def _digest(received_at: str, request_id: str | None, raw: bytes) -> bytes:
    beginning = f"{received_at}\n{request_id or ''}\n".encode()
    return hashlib.sha256(beginning + raw).digest()
