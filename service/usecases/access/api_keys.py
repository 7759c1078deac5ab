"""Give out, check and revoke API keys."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.domain.ids import new_id
from service.errors import DatabaseUnavailableError
from service.postgres.engine import transaction
from service.postgres.models import ApiKey
from service.postgres.queries import api_keys

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

    from sqlalchemy import Engine

    from service.postgres.replica import Position

SCOPES = ("read", "phi", "write", "ops")
"""``read`` appointments; ``phi``: see MRNs and notes unmasked; ``write``: submit and correct; ``ops``: operate."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a key that is neither revoked nor expired.

    Args:
        wrote_lately: Whether it wrote so lately that a replica may not know it yet.
        position: How far the primary was when the request began; known where there is a replica.
    """

    key_id: str
    scopes: frozenset[str]
    name: str
    wrote_lately: bool = False
    position: Position | None = None


def create_key(engine: Engine, *, name: str, scopes: Collection[str], expires_in: timedelta | None) -> str:
    """Make a key and return its text, which is nowhere kept: only its hash is."""
    key = f"cak_{secrets.token_urlsafe(32)}"
    now = datetime.now(UTC)
    with transaction(engine) as session:
        session.add(
            ApiKey(
                id=new_id("key"),
                name=name,
                digest=_digest(key),
                scopes=sorted(set(scopes)),
                created_at=now,
                expires_at=now + expires_in if expires_in else None,
            )
        )
    return key


def find_caller(engine: Engine, key: str, *, after_write: timedelta | None = None) -> Caller | None:
    """Find whose key this is; None for one that is unknown, revoked or expired.

    It is looked up for each request: a key that is revoked is refused from then on, by every process.

    Args:
        engine: To the primary.
        key: Its text.
        after_write: See ``Caller.wrote_lately``; None where nobody asks for that and the position.
    """
    found = api_keys.find_good(engine, _digest(key), after_write=after_write)
    if found is None:
        return None
    if not found.use_is_noted:
        # A PostgreSQL that takes no writes can still answer: better than knowing when the key was used.
        with suppress(DatabaseUnavailableError), transaction(engine) as session:
            api_keys.mark_used(session, found.id, now=datetime.now(UTC))
    return Caller(found.id, frozenset(found.scopes), found.name, found.wrote_lately, found.position)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
