"""Queries on kept answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, text

from service.postgres.models import IdempotencyKey

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


def try_lock(session: Session, key_id: str, key: str) -> bool:
    """Take the right to answer for a key until the transaction ends; False when another has it."""
    return bool(
        session.scalar(
            text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": f"{key_id} {key}"}
        )
    )


def delete_expired(session: Session, *, now: datetime) -> int:
    """Delete answers that were kept long enough; returns how many."""
    deleted = session.scalars(
        delete(IdempotencyKey).where(IdempotencyKey.expires_at <= now).returning(IdempotencyKey.key)
    )
    return len(deleted.all())
