"""What an event makes of one locked appointment: the rule's decision, and the words that go with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service import states
from service.events import Kind
from service.evidence import TOLERANCE
from service.request_fields import read_start
from service.states import Decision, Ruling, Status, judge
from service.store.appointments import Locked, Outcome
from service.times import find_zone, is_plausible

if TYPE_CHECKING:
    from service.events import Confirmation, Event
    from service.failures import Category

_STATUS = {Kind.CREATED: Status.CREATED, Kind.FAILED: Status.FAILED}


def settle(row: Locked, event: Event, *, source: str, now: datetime) -> Decision:
    """Apply an event that settles to the appointment that it names.

    Args:
        row: Changed in place; the caller writes it back.
        event: One with a ``kind``, that was not applied to this row before.
        source: How it came.
        now: On our clock.
    """
    if event.kind is None:
        raise ValueError("this event settles nothing")
    before = row.standing
    decision = judge(before, _STATUS[event.kind], Ruling(event.occurred_at, event.id))
    row.standing = decision.standing
    if decision.standing.ruling != before.ruling:
        row.outcome = _outcome(row, event, source, now)
    row.changed = row.changed or decision.standing != before
    return decision


def refuse(row: Locked, category: Category, reason: str, *, occurred_at: datetime, now: datetime) -> None:
    """Fail an appointment by a decision of ours, for which there is no event.

    Args:
        row: Changed in place; the caller writes it back.
        category: Why, as a stable code.
        reason: Why, in words.
        occurred_at: On Cobalt's clock, as near as we know it.
        now: On our clock.
    """
    standing = states.refuse(row.standing, occurred_at)
    if standing == row.standing:
        return
    row.standing = standing
    row.outcome = Outcome(now, failure_category=category.value, failure=failure_record(reason, occurred_at))
    row.changed = True


def failure_record(
    reason: str, occurred_at: datetime, *, details: dict[str, Any] | None = None, mrn: str | None = None
) -> dict[str, Any]:
    """Make what the column ``failure`` holds; ``mrn`` is kept only so that it can be masked in the texts."""
    return {
        "reason": reason,
        "details": details or {},
        "occurred_at": occurred_at.astimezone(UTC).isoformat(),
        "mrn": mrn,
    }


def discrepancies(row: Locked, event: Event) -> list[str]:
    """Name the fields in which an outcome differs from what was asked for: ``mrn``, ``start``."""
    found = []
    if event.mrn is not None and event.mrn.strip() != row.asked_mrn.strip():
        found.append("mrn")
    if event.confirmation and _starts_elsewhere(row, event):
        found.append("start")
    return found


def _outcome(row: Locked, event: Event, source: str, now: datetime) -> Outcome:
    outcome = Outcome(now, learned_from=source, discrepancies=discrepancies(row, event))
    if event.confirmation:
        outcome.confirmation = _confirmation(event.confirmation)
        # Not what an earlier confirmation said, or the order in which two of them come would matter.
        outcome.starts_at = _kept_start(event.confirmation) or _asked_instant(row)
    if event.failure:
        outcome.failure_category = event.failure.category.value
        outcome.failure = failure_record(
            event.failure.reason, event.occurred_at, details=event.failure.details, mrn=event.mrn
        )
    return outcome


def _starts_elsewhere(row: Locked, event: Event) -> bool:
    """Tell whether a confirmed start is not the one asked for; times that cannot be compared are not."""
    confirmed = event.confirmation
    if confirmed is None:
        return False
    asked = _asked_instant(row)
    if asked is not None and confirmed.starts_at is not None:
        return abs(asked - confirmed.starts_at) > TOLERANCE
    local = _on_the_wall(confirmed)
    return row.asked_local is not None and local is not None and abs(row.asked_local - local) > TOLERANCE


def _asked_instant(row: Locked) -> datetime | None:
    return None if row.asked_datetime is None else read_start({"datetime": row.asked_datetime}).at


def _kept_start(confirmed: Confirmation) -> datetime | None:
    """Return the instant to keep. One in an impossible year differs from what was asked for, and stays in the text."""
    return confirmed.starts_at if confirmed.starts_at and is_plausible(confirmed.starts_at) else None


def _on_the_wall(confirmed: Confirmation) -> datetime | None:
    zone = find_zone(confirmed.timezone or "")
    if zone is None or confirmed.starts_at is None:
        return None
    try:
        return confirmed.starts_at.astimezone(zone).replace(tzinfo=None)
    except OverflowError:  # in the last hours that datetime knows
        return None


def _confirmation(confirmed: Confirmation) -> dict[str, Any]:
    starts_at = _kept_start(confirmed)
    return {
        "date_time": confirmed.date_time,
        "timezone": confirmed.timezone,
        "starts_at": starts_at and starts_at.isoformat(),
        "provider_id": confirmed.provider_id,
        "provider_name": confirmed.provider_name,
        "secondary_provider_id": confirmed.secondary_provider_id,
    }
