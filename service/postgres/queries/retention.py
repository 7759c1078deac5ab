"""Queries that find what is past its time, and remove it; what still processes or waits is never among it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from service.domain.submission import TO_BE_SENT
from service.postgres.conditions import IS_UNCONFIRMED, quoted
from service.postgres.models import Correction
from service.postgres.queries import events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

FREE_TEXT = frozenset({"note", "reason"})
"""Fields of a request that may say anything about a patient."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is past its time.

    Args:
        rows_before: Settled appointments from before this are removed.
        payloads_before: What Cobalt said, and free texts, from before this are removed.
    """

    rows_before: datetime
    payloads_before: datetime


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of what is removed.

    Args:
        name: For people.
        table: Where it is; the alias is the table's name.
        at: The column by which it is walked through, oldest first.
        where: Which rows, with ``:rows_before`` and ``:payloads_before``.
        remove: Removes these, by their ids, in the transaction that holds the rows.
    """

    name: str
    table: str
    at: str
    where: str
    remove: Callable[[Session, list[str], Limits], object]


Place = tuple["datetime", str]
_HURRY = text("SET LOCAL lock_timeout = '0.25s'")  # what waits holds up whoever comes next


_DONE = "(quarantine.replayed_at IS NOT NULL OR quarantine.dismissed_at IS NOT NULL)"


def count(session: Session, kind: Kind, limits: Limits) -> int:
    """Count what there is to be removed of a kind."""
    query = text(f"SELECT count(*) FROM {kind.table} WHERE {kind.where}")  # noqa: S608 (constants)
    return int(session.execute(query, _values(limits)).scalar_one())


def lock_next(session: Session, kind: Kind, limits: Limits, *, after: Place | None, most: int) -> Sequence[Place]:
    """Lock the next rows of a kind that are to be removed; those that somebody else holds are left for another time.

    Args:
        after: Where the batch before ended.
        most: How many.
    """
    session.execute(_HURRY)
    beyond = f"({kind.table}.{kind.at}, {kind.table}.id) > (:at, :id) AND" if after else ""
    query = text(
        f"SELECT {kind.table}.{kind.at}, {kind.table}.id FROM {kind.table} WHERE {beyond} {kind.where}"  # noqa: S608
        f" ORDER BY 1, 2 LIMIT :most FOR UPDATE OF {kind.table} SKIP LOCKED"
    )
    place = dict(zip(("at", "id"), after, strict=True)) if after else {}
    return [(at, row_id) for at, row_id in session.execute(query, _values(limits) | place | {"most": most})]


def count_unread(session: Session, limits: Limits) -> int:
    """Count quarantined records that are past their time, but wait for a person."""
    query = f"SELECT count(*) FROM quarantine WHERE NOT {_DONE} AND received_at < :payloads_before"  # noqa: S608 (constants)
    return int(session.execute(text(query), _values(limits)).scalar_one())


def _values(limits: Limits) -> dict[str, Any]:
    return {"rows_before": limits.rows_before, "payloads_before": limits.payloads_before}


def _empty_events(session: Session, ids: list[str], _limits: Limits) -> None:
    # The row stays: whatever comes again under this id is still a duplicate.
    session.execute(text("UPDATE events SET payload = '{}', raw = NULL, mrn = NULL WHERE id = ANY(:ids)"), {"ids": ids})


def _give_up_events(session: Session, ids: list[str], limits: Limits) -> None:
    named = text("SELECT DISTINCT cobalt_appointment_id FROM events WHERE id = ANY(:ids)")
    cobalt_ids = [cobalt_id for cobalt_id in session.scalars(named, {"ids": ids}) if cobalt_id]
    events.lock_ids(session, cobalt_ids)  # whoever makes one of them known holds this: it comes before or after
    session.execute(_GIVE_UP, _values(limits) | {"ids": ids})


def _empty_quarantine(session: Session, ids: list[str], _limits: Limits) -> None:
    session.execute(text("UPDATE quarantine SET raw = '' WHERE id = ANY(:ids)"), {"ids": ids})


def _forget_texts(session: Session, ids: list[str], _limits: Limits) -> None:
    session.execute(
        text("""
        UPDATE appointments SET request = request - ARRAY['note', 'reason'],
          accepted_request = accepted_request - ARRAY['note', 'reason'], version = version + 1
        WHERE id = ANY(:ids)"""),
        {"ids": ids},
    )
    session.execute(text("UPDATE decisions SET why = NULL WHERE appointment_id = ANY(:ids)"), {"ids": ids})
    for correction in session.scalars(select(Correction).where(Correction.appointment_id.in_(ids))):
        correction.changes = _without_texts(correction.changes)
        correction.before = correction.before | {"request": _without_texts(correction.before["request"])}


def _without_texts(fields: dict[str, Any]) -> dict[str, Any]:
    """Forget free texts, and not that there were some: that they were changed is still told."""
    return fields | dict.fromkeys(fields.keys() & FREE_TEXT)


def _delete_deliveries(session: Session, ids: list[str], limits: Limits) -> None:
    session.execute(
        text("DELETE FROM deliveries WHERE event_id = ANY(:ids) AND received_at < :rows_before"),
        _values(limits) | {"ids": ids},
    )


def _delete_quarantined(session: Session, ids: list[str], _limits: Limits) -> None:
    session.execute(text("DELETE FROM quarantine WHERE id = ANY(:ids)"), {"ids": ids})


def _delete_appointments(session: Session, ids: list[str], _limits: Limits) -> None:
    for statement in _DELETE_APPOINTMENTS:
        session.execute(text(statement), {"ids": ids})


def _has_text(fields: str) -> str:
    return " OR ".join(f"({fields}) ->> '{name}' IS NOT NULL" for name in sorted(FREE_TEXT))


_SETTLED = f"appointments.status <> 'processing' AND appointments.submission NOT IN ({quoted(TO_BE_SENT)})"
# Nobody has submitted what these events are about, and nobody waits for what they say.
_GIVEN_UP = f"""
  events.received_at < :rows_before AND events.disposition = 'unmatched' AND events.appointment_id IS NULL
  AND NOT EXISTS (
    SELECT FROM appointments a WHERE a.cobalt_appointment_id = events.cobalt_appointment_id)
  AND NOT EXISTS (
    SELECT FROM appointments a WHERE a.{IS_UNCONFIRMED} AND a.status <> 'created'
    AND a.cobalt_appointment_id IS NULL AND coalesce(a.mrn_key, a.mrn) = events.mrn)
"""  # noqa: S608 (constants)
_GIVE_UP = text(f"""
UPDATE events SET disposition = 'ignored', payload = '{{}}', raw = NULL, mrn = NULL
WHERE id = ANY(:ids) AND {_GIVEN_UP}
""")  # noqa: S608 (constants)
_HAS_TEXTS = f"""
  {_has_text("appointments.request")} OR {_has_text("appointments.accepted_request")}
  OR EXISTS (SELECT FROM decisions d WHERE d.appointment_id = appointments.id AND d.why IS NOT NULL)
  OR EXISTS (SELECT FROM corrections c WHERE c.appointment_id = appointments.id
    AND ({_has_text("c.changes")} OR {_has_text("c.before -> 'request'")}))
"""  # noqa: S608 (constants)
_DELETE_APPOINTMENTS = (
    "DELETE FROM deliveries WHERE event_id IN (SELECT id FROM events WHERE appointment_id = ANY(:ids))",
    """UPDATE events SET appointment_id = NULL, payload = '{}', raw = NULL, mrn = NULL
    WHERE appointment_id = ANY(:ids)""",
    "DELETE FROM submissions WHERE appointment_id = ANY(:ids)",
    "DELETE FROM corrections WHERE appointment_id = ANY(:ids)",
    "DELETE FROM decisions WHERE appointment_id = ANY(:ids)",
    "DELETE FROM imported_rows WHERE appointment_id = ANY(:ids)",
    "DELETE FROM appointments WHERE id = ANY(:ids)",
)

KINDS = (
    Kind(
        "contents of events",
        "events",
        "received_at",
        """events.received_at < :payloads_before AND events.payload <> '{}' AND events.disposition <> 'unmatched'
        AND (events.appointment_id IS NULL OR EXISTS (
          SELECT FROM appointments a WHERE a.id = events.appointment_id AND a.status <> 'processing'
          AND a.settled_at < :payloads_before))""",
        _empty_events,
    ),
    Kind("events that nobody here asked for", "events", "received_at", _GIVEN_UP, _give_up_events),
    Kind(
        "contents of quarantined records",
        "quarantine",
        "received_at",
        f"{_DONE} AND quarantine.received_at < :payloads_before AND quarantine.raw <> ''",
        _empty_quarantine,
    ),
    Kind(
        "appointments' free texts",
        "appointments",
        "settled_at",
        f"""appointments.created_at < :payloads_before AND appointments.settled_at < :payloads_before AND {_SETTLED}
        AND ({_HAS_TEXTS})""",
        _forget_texts,
    ),
    Kind(
        "deliveries of events without an appointment",
        "events",
        "received_at",
        f"""events.received_at < :rows_before AND events.appointment_id IS NULL
        AND (events.disposition <> 'unmatched' OR ({_GIVEN_UP}))
        AND EXISTS (SELECT FROM deliveries d WHERE d.event_id = events.id AND d.received_at < :rows_before)""",
        _delete_deliveries,
    ),
    Kind(
        "quarantined records",
        "quarantine",
        "received_at",
        f"{_DONE} AND quarantine.received_at < :rows_before",
        _delete_quarantined,
    ),
    Kind(
        "appointments",
        "appointments",
        "settled_at",
        f"""appointments.created_at < :rows_before AND appointments.settled_at < :rows_before AND {_SETTLED}
        AND NOT EXISTS (SELECT FROM events e WHERE e.appointment_id = appointments.id
          AND (e.received_at >= :rows_before OR e.disposition = 'unmatched'))""",
        _delete_appointments,
    ),
)
"""In this order: what a later kind removes does not change what an earlier one would have."""
