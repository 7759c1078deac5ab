"""Queries on what a person or the worker decided about an appointment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from service.postgres.models import Decision

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from service.postgres.models import Appointment


@dataclass(frozen=True, slots=True)
class Person:
    """Who decides, and why.

    Args:
        name: The OS user at the command line.
        why: In their words.
    """

    name: str
    why: str | None = None


def record(
    session: Session,
    row: Appointment,
    decision: str,
    *,
    person: Person | None,
    now: datetime,
    cobalt_ids: Sequence[str] = (),
) -> None:
    """Record a decision about a row that this transaction holds; ``person`` is None when the worker decided."""
    session.add(
        Decision(
            appointment_id=row.id,
            attempt=row.attempt,
            at=now,
            decision=decision,
            source="person" if person else "worker",
            decided_by=person.name if person else None,
            why=person.why if person else None,
            cobalt_appointment_ids=list(cobalt_ids),
        )
    )


def find_refused(session: Session, appointment_ids: Collection[str]) -> dict[str, set[str]]:
    """Find the ids at Cobalt of which a person said that they are not an appointment's own."""
    refused: dict[str, set[str]] = {appointment_id: set() for appointment_id in appointment_ids}
    for appointment_id, cobalt_ids in session.execute(
        select(Decision.appointment_id, Decision.cobalt_appointment_ids).where(
            Decision.appointment_id.in_(appointment_ids), Decision.decision == "abandoned"
        )
    ):
        refused[appointment_id].update(cobalt_ids)
    return refused
