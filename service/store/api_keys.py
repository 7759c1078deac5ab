"""Queries on API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update

from service.models import ApiKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

USED_EVERY = timedelta(minutes=1)
"""How exactly the last use is known: a write for each request would cost more than it tells."""


def find_by_digest(session: Session, digest: bytes) -> ApiKey | None:
    """Find a key by the SHA-256 of its text, whatever its state."""
    return session.scalars(select(ApiKey).where(ApiKey.digest == digest)).one_or_none()


def mark_used(session: Session, key_id: str, *, now: datetime) -> None:
    """Note that a key was used, unless that is known to the minute already."""
    session.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - USED_EVERY))
        .values(last_used_at=now)
    )


def list_keys(session: Session) -> Sequence[ApiKey]:
    """List all keys, oldest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)).all()


def revoke(session: Session, key_id: str, *, now: datetime) -> bool:
    """Revoke a key for good; tells whether there was one that was not revoked yet."""
    return (
        session.scalars(
            update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=now)
            .returning(ApiKey.id)
        ).first()
        is not None
    )  # fmt: skip
