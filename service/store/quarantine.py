"""Queries on authentic bytes that could not be read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from service.ids import new_id
from service.models import Quarantined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from service.store.events import Arrival


@dataclass(frozen=True, slots=True)
class Unread:
    """Authentic bytes that could not be read as an event, and why, without a value from them."""

    raw: bytes
    reason: str


def keep(session: Session, arrivals: Sequence[Arrival]) -> None:
    """Keep bytes with the reason why they could not be read; the same bytes again only count up."""
    rows: dict[bytes, dict[str, object]] = {}
    for arrival in arrivals:
        if not isinstance(arrival.said, Unread):
            continue
        digest = hashlib.sha256(arrival.said.raw).digest()
        row = rows.setdefault(
            digest,
            {
                "id": new_id("qrn"),
                "raw": arrival.said.raw,
                "digest": digest,
                "reason": arrival.said.reason,
                "source": arrival.source.value,
                "received_at": arrival.received_at,
                "deliveries": 0,
            },
        )
        row["deliveries"] = int(str(row["deliveries"])) + 1
    # In a fixed order: two batches with the same bytes must not wait for each other.
    for _, row in sorted(rows.items()):
        new = insert(Quarantined).values(row)
        session.execute(
            new.on_conflict_do_update(
                index_elements=[Quarantined.digest],
                set_={"deliveries": Quarantined.deliveries + new.excluded.deliveries},
            )
        )


def lock_quarantined(session: Session, quarantined_id: str) -> Quarantined | None:
    """Lock one record."""
    return session.get(Quarantined, quarantined_id, with_for_update=True)


def find_quarantined(session: Session, quarantined_id: str) -> Quarantined | None:
    """Find one record."""
    return session.get(Quarantined, quarantined_id)


def list_quarantined(session: Session, *, after: str | None, limit: int) -> Sequence[Quarantined]:
    """List records, newest first, from after the given id on."""
    query = select(Quarantined).order_by(Quarantined.id.desc()).limit(limit)
    return session.scalars(query.where(Quarantined.id < after) if after else query).all()


def waiting_ids(session: Session) -> Sequence[str]:
    """List what no replay could read yet, oldest first."""
    query = select(Quarantined.id).where(Quarantined.replayed_at.is_(None)).order_by(Quarantined.id)
    return session.scalars(query).all()
