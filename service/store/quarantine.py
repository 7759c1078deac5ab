"""Queries on authentic bytes that could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects.postgresql import insert

from service.models import Quarantined

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from service.store.events import Source


def keep(
    session: Session,
    *,
    quarantined_id: str,
    raw: bytes,
    digest: bytes,
    reason: str,
    source: Source,
    received_at: datetime,
) -> None:
    """Keep bytes with the reason why they could not be read; the same bytes again only count up."""
    new = insert(Quarantined).values(
        id=quarantined_id, raw=raw, digest=digest, reason=reason, source=source.value, received_at=received_at
    )
    session.execute(
        new.on_conflict_do_update(index_elements=[Quarantined.digest], set_={"deliveries": Quarantined.deliveries + 1})
    )
