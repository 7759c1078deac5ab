"""Find which of the things have come about that callers of the API wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from service.postgres.engine import transaction
from service.postgres.queries.changes import find_end, find_settled, find_versions

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Engine

    from service.postgres.queries.changes import Position


@dataclass(frozen=True, slots=True)
class NewVersion:
    """An appointment is no longer in the version that is known."""

    appointment_id: str
    known: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """An appointment has an outcome; steps of its submission are none."""

    appointment_id: str


@dataclass(frozen=True, slots=True)
class NextChange:
    """The feed of changes has something after this position."""

    after: Position


Awaited: TypeAlias = NewVersion | Outcome | NextChange


def find_news(engine: Engine, awaited: Collection[Awaited]) -> list[Awaited]:
    """Find what has come about of all this.

    Raises:
        DatabaseUnavailableError: PostgreSQL does not answer.
        ChangesUnreadyError: See ``find_end``.
    """
    known = {one.appointment_id for one in awaited if isinstance(one, NewVersion)}
    unsettled = {one.appointment_id for one in awaited if isinstance(one, Outcome)}
    with transaction(engine) as session:
        versions = find_versions(session, known)
        settled = find_settled(session, unsettled)
        end = find_end(session) if any(isinstance(one, NextChange) for one in awaited) else None

    def has_come_about(one: Awaited) -> bool:
        match one:
            case NewVersion(appointment_id, known):
                return versions.get(appointment_id, known) > known
            case Outcome(appointment_id):
                return appointment_id in settled
            case NextChange(after):
                return end is not None and (end.number, end.appointment_id) > (after.number, after.appointment_id)

    return [one for one in awaited if has_come_about(one)]
