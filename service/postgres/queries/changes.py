"""Queries that follow changes: each version of an appointment is numbered by the transaction that made it.

Transactions do not end in the order of their numbers. So only what lies before the oldest one that is still under way
is shown: nothing can come in there any more, and whoever reads on from there misses nothing. See docs/decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal_column, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from service.errors import ChangesLostError, ChangesUnreadyError
from service.postgres.models import Appointment, ChangeMark

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.orm import Session

_HORIZON: ColumnElement[int] = literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
"""The oldest transaction that has not ended, of all databases of the cluster."""

# A primary's control file knows its timeline only some time after a fail-over; the name of its WAL knows it at once.
_WHERE = text("""
SELECT (SELECT system_identifier FROM pg_control_system()) || '/' ||
    (SELECT oid FROM pg_database WHERE datname = current_database()) AS database,
  CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END AS timeline,
  (SELECT max(changed_in) FROM appointments) >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS unready
""")

# Told by what it was: a row that has got a good number meanwhile keeps it.
_RENUMBER = text("""
UPDATE appointments SET changed_in = 0 FROM (
  SELECT id, changed_in AS foreign_number FROM appointments
  WHERE changed_in >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
  ORDER BY changed_in DESC LIMIT :most
) AS strange WHERE appointments.id = strange.id AND changed_in = foreign_number
RETURNING appointments.id
""")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of changes: after one version of one appointment.

    Args:
        database: Whose numbers these are: the cluster's system identifier and the database's oid.
        timeline: A fail-over, or a restore to a point in time, begins a new one, and uses numbers again.
        number: The transaction that made the version.
        appointment_id: Of the appointment.
    """

    database: str
    timeline: int
    number: int
    appointment_id: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Appointments that changed, each as it is now.

    Args:
        rows: In the order of their latest changes.
        last: Where to go on.
        more: Whether there are more already.
    """

    rows: Sequence[Appointment]
    last: Position
    more: bool


def list_changes(session: Session, *, after: Position | None, limit: int) -> Changes:
    """List what changed after a position, oldest change first; None for the beginning.

    Raises:
        ChangesLostError: The position is not one of this database's.
        ChangesUnreadyError: The database was restored from a copy and is not ready for this yet.
    """
    after = _here(session, after)
    rows = session.scalars(_following(select(Appointment), after).limit(limit + 1)).all()
    page = rows[:limit]
    last = replace(after, number=page[-1].changed_in, appointment_id=page[-1].id) if page else after
    return Changes(page, last, more=len(rows) > limit)


def find_end(session: Session) -> Position:
    """Find the position after everything that ``list_changes`` can show now; raises as that does."""
    here = _here(session, None)
    # Of a row, not the horizon: a crash may take back numbers of transactions that wrote nothing.
    last = session.execute(
        select(Appointment.changed_in, Appointment.id)
        .where(Appointment.changed_in < _HORIZON)
        .order_by(Appointment.changed_in.desc(), Appointment.id.desc())
        .limit(1)
    ).one_or_none()
    return replace(here, number=last.changed_in, appointment_id=last.id) if last else here


def find_versions(session: Session, ids: Collection[str]) -> dict[str, int]:
    """Find the versions of these appointments: our id -> version. Ids that there are none of are left out."""
    if not ids:
        return {}
    found = session.execute(select(Appointment.id, Appointment.version).where(Appointment.id.in_(ids)))
    return {row.id: row.version for row in found}


def find_settled(session: Session, ids: Collection[str]) -> Sequence[str]:
    """Find which of these appointments have an outcome."""
    if not ids:
        return []
    return session.scalars(
        select(Appointment.id).where(Appointment.id.in_(ids), Appointment.status != "processing")
    ).all()


def mark(session: Session) -> None:
    """Write down how far the numbers have got, for those who come back after a fail-over."""
    where = session.execute(_WHERE).one()
    new = insert(ChangeMark).values(database=where.database, timeline=where.timeline, reached=_HORIZON)
    session.execute(
        new.on_conflict_do_update(
            index_elements=[ChangeMark.database, ChangeMark.timeline],
            set_={"reached": new.excluded.reached, "at": func.now()},
        )
    )


def renumber(session: Session, *, most: int) -> int:
    """Put changes that have numbers of another cluster's to the beginning; returns how many.

    A restored copy has such numbers; until this cluster reaches them, their changes could not be shown.
    """
    return len(session.scalars(_RENUMBER, {"most": most}).all())


def _following(query: Select[Any], position: Position) -> Select[Any]:
    """Narrow a query to what comes after a position, in the order of the index: else PostgreSQL might look for it."""
    return query.where(
        tuple_(Appointment.changed_in, Appointment.id) > tuple_(position.number, position.appointment_id),
        Appointment.changed_in < _HORIZON,
    ).order_by(Appointment.changed_in, Appointment.id)


def _here(session: Session, position: Position | None) -> Position:
    """Translate a position to this database's numbers, on its present timeline."""
    where = session.execute(_WHERE).one()
    if where.unready:
        raise ChangesUnreadyError
    here = Position(where.database, where.timeline, 0, "")
    if position is None:
        return here
    if position.database != here.database:
        raise ChangesLostError
    if position.timeline == here.timeline:
        return position
    # Numbers after the mark may have been used on both timelines: what has them now is shown again, or for the first
    # time. What is before it ended before the timelines parted.
    reached = session.scalar(
        select(ChangeMark.reached).where(
            ChangeMark.database == position.database, ChangeMark.timeline == position.timeline
        )
    )
    if reached is None:
        raise ChangesLostError
    number, appointment_id = min((position.number, position.appointment_id), (reached, ""))
    return replace(here, number=number, appointment_id=appointment_id)
