"""Queries on authentic bytes that could not be taken as an event."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from service.domain.arrivals import Unread
from service.domain.ids import new_id
from service.postgres.models import Quarantined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from service.domain.arrivals import Arrival


def keep(session: Session, arrivals: Sequence[Arrival]) -> None:
    """Keep bytes with the reason why they could not be taken; the same bytes again only count up."""
    rows: dict[bytes, dict[str, object]] = {}
    deliveries: Counter[bytes] = Counter()
    for arrival in arrivals:
        if not isinstance(arrival.said, Unread):
            continue
        digest = hashlib.sha256(arrival.said.raw).digest()
        rows.setdefault(
            digest,
            {
                "id": new_id("qrn"),
                "raw": arrival.said.raw,
                "digest": digest,
                "source": arrival.source.value,
                "received_at": arrival.received_at,
                **why(arrival.said),
            },
        )
        deliveries[digest] += arrival.source != "replay"
    # In a fixed order: two batches with the same bytes must not wait for each other.
    for digest, row in sorted(rows.items()):
        new = insert(Quarantined).values(row | {"deliveries": deliveries[digest]})
        # What could not be applied for another reason may contradict an event that came meanwhile.
        told = {name: new.excluded[name] for name in why(Unread(b"", ""))} if row["contradicts"] else {}
        session.execute(
            new.on_conflict_do_update(
                index_elements=[Quarantined.digest],
                set_={"deliveries": Quarantined.deliveries + new.excluded.deliveries, **told},
            )
        )


def why(unread: Unread) -> dict[str, object]:
    """Say in the table's columns why something could not be taken."""
    contradiction = unread.contradiction
    return {
        "reason": unread.reason,
        "contradicts": contradiction and contradiction.event_id,
        "said_digest": contradiction and contradiction.said,
        "recorded_digest": contradiction and contradiction.recorded,
    }


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
    """List what no replay could read yet and nobody has dismissed, oldest first."""
    waits = Quarantined.replayed_at.is_(None), Quarantined.dismissed_at.is_(None)
    query = select(Quarantined.id).where(*waits).order_by(Quarantined.id)
    return session.scalars(query).all()
