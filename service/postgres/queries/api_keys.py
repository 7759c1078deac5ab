"""Queries on API keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, text, update

from service.postgres.engine import autocommit
from service.postgres.models import ApiKey
from service.postgres.replica import Position

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

USED_EVERY = timedelta(minutes=1)
"""How exactly the last use is known: a write for each request would cost more than it tells."""


WROTE_EVERY = timedelta(seconds=1)
"""How exactly the last write is known: more would have all writes of one key wait for each other."""

_GOOD = """
  SELECT id, scopes, name, coalesce(last_used_at > now() - %(used_every)s, false){more} FROM api_keys
  WHERE digest = %(digest)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
_FIND_GOOD = _GOOD.format(more="")
# A server that takes no writes cannot say how far it has written; it can still answer.
_FIND_GOOD_WITH_POSITION = _GOOD.format(
    more=""", coalesce(wrote_at > clock_timestamp() - %(after_write)s, false), clock_timestamp(),
    CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() - '0/0'::pg_lsn END"""
)


@dataclass(frozen=True, slots=True)
class GoodKey:
    """A key that is neither revoked nor expired.

    Args:
        use_is_noted: Whether it is noted that it was used this minute.
        wrote_lately: Whether it wrote within the given time.
        position: How far the primary had written when it was looked up; known where it was asked for.
    """

    id: str
    scopes: Sequence[str]
    name: str
    use_is_noted: bool
    wrote_lately: bool = False
    position: Position | None = None


def find_good(engine: Engine, digest: bytes, *, after_write: timedelta | None = None) -> GoodKey | None:
    """Find a key by the SHA-256 of its text, in one round trip and without a transaction: every request does.

    Args:
        engine: To the primary.
        digest: Of the key.
        after_write: How long a write counts as lately; None where nobody asks for that and the position.
    """
    query = _FIND_GOOD if after_write is None else _FIND_GOOD_WITH_POSITION
    wanted = {"digest": digest, "used_every": USED_EVERY, "after_write": after_write}
    with autocommit(engine) as connection:
        row = connection.execute(query, wanted).fetchone()
    if row is None:
        return None
    key_id, scopes, name, use_is_noted, *more = row
    if not more:
        return GoodKey(key_id, scopes, name, use_is_noted)
    wrote_lately, at, written = more
    position = None if written is None else Position(at, int(written))
    return GoodKey(key_id, scopes, name, use_is_noted, wrote_lately, position)


def note_write(session: Session, key_id: str) -> None:
    """Note that a key writes in this transaction, to the second. Call it last: it may wait for another's commit."""
    session.execute(
        text(
            "UPDATE api_keys SET wrote_at = clock_timestamp()"
            " WHERE id = :id AND (wrote_at IS NULL OR wrote_at < clock_timestamp() - CAST(:every AS interval))"
        ),
        {"id": key_id, "every": WROTE_EVERY},
    )


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
