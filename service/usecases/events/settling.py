"""What an event makes of one locked appointment: the rule's decision, and the words that go with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.domain import states
from service.domain.comparing import comparable
from service.domain.events import Kind
from service.domain.repeats import find_repeated, tells_the_same
from service.domain.starts import TOLERANCE, Fit, compare
from service.domain.states import Decision, Disposition, Ruling, Status, accept_attempt, judge
from service.domain.submission import Cause, allows, follow
from service.domain.times import first_instant, instants, is_plausible
from service.domain.zones import find_zone
from service.postgres.queries.appointments import Locked, Outcome, as_locked
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Collection

    from service.domain.events import Confirmation, Event
    from service.domain.failures import Category
    from service.postgres.models import Appointment

logger = log.get_logger(__name__)

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
    repeated = find_repeated(event, row.judged, before.since)
    ruling = Ruling(event.occurred_at, event.id)
    decision = judge(before, _STATUS[event.kind], ruling, repeats=repeated and repeated.id)
    row.standing = decision.standing
    if decision.superseded and any(one.id == decision.superseded and tells_the_same(event, one) for one in row.judged):
        row.moved = True  # whoever looks at the appointment sees nothing of that
        before = before._replace(ruling=ruling)
    if decision.standing.ruling != before.ruling:
        row.outcome = _outcome(row, event, source, now)
    row.changed = row.changed or decision.standing != before
    if decision.disposition is not Disposition.UNMATCHED:
        row.judged.append(event)
    return decision


def relieve(row: Locked) -> bool:
    """Have a correction that waits to be sent wait no longer where Cobalt has booked the appointment without it.

    From then on it is known when the attempt began: what waited for that can be judged.

    Args:
        row: Changed in place; the caller writes it back.

    Returns:
        Whether there was one.
    """
    ruling = row.standing.ruling
    if row.standing.status is not Status.CREATED or ruling is None or not allows(row.submission, Cause.BOOKED):
        return False
    row.submission = follow(row.submission, Cause.BOOKED)
    row.standing = accept_attempt(row.standing, row.standing.since or ruling.occurred_at)
    row.changed = True
    return True


def begin(row: Appointment, since: datetime) -> None:
    """Note when, on Cobalt's clock, the attempt began that a whole row is at."""
    row.attempt_since = accept_attempt(as_locked(row).standing, since).since


def is_of_another_account(row: Locked, event: Event, named: Collection[tuple[str, str]]) -> bool:
    """Tell whether an event says that it is of another account than the appointment's; then it must not settle it.

    One that names no account contradicts nothing: it names the appointment's id at Cobalt.

    Args:
        row: The appointment.
        event: One that names it.
        named: The account, and what Cobalt calls it.
    """
    return event.account_reference is not None and (row.account, event.account_reference) not in named


def tell_of_another_account(event_id: str, appointment_id: str) -> None:
    """Tell those who watch the log: a person has to say whether the account is the same clinic under a new name."""
    logger.error(
        "an event is of another account than its appointment", event_id=event_id, appointment_id=appointment_id
    )


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
    if event.mrn is not None and event.mrn != row.asked_mrn and comparable(event.mrn) != comparable(row.asked_mrn):
        found.append("mrn")
    if event.confirmation and _starts_elsewhere(row, event.confirmation):
        found.append("start")
    return found


def _outcome(row: Locked, event: Event, source: str, now: datetime) -> Outcome:
    outcome = Outcome(now, learned_from=source, discrepancies=discrepancies(row, event))
    if event.confirmation:
        starts_at = _confirmed_instant(row, event.confirmation)
        outcome.confirmation = _confirmation(event.confirmation, starts_at)
        # Not what an earlier confirmation said, or the order in which two of them come would matter.
        outcome.starts_at = starts_at or _asked_instant(row)
    if event.failure:
        outcome.failure_category = event.failure.category.value
        outcome.failure = failure_record(
            event.failure.reason, event.occurred_at, details=event.failure.details, mrn=event.mrn
        )
    return outcome


def _starts_elsewhere(row: Locked, confirmed: Confirmation) -> bool:
    """Tell whether a confirmed start is not the one asked for; one that cannot be read is not known to be another."""
    if confirmed.start is None or row.asked_start is None:
        return False
    return compare(confirmed.start, row.asked_start, said_zone=confirmed.timezone) is Fit.NO


def _asked_instant(row: Locked) -> datetime | None:
    asked = row.asked_start
    return asked.astimezone(UTC) if asked and asked.tzinfo else None


def _confirmed_instant(row: Locked, confirmed: Confirmation) -> datetime | None:
    """Return the instant to keep: where clocks go back and an hour comes twice, the one that was asked for.

    One in an impossible year differs from what was asked for, and stays in the text.
    """
    if confirmed.start is None:
        return None
    zone = find_zone(confirmed.timezone)
    found, asked = first_instant(confirmed.start, zone), _asked_instant(row)
    if asked is not None:
        found = next((one for one in instants(confirmed.start, zone) if abs(one - asked) <= TOLERANCE), found)
    return found if found and is_plausible(found) else None


def _confirmation(confirmed: Confirmation, starts_at: datetime | None) -> dict[str, Any]:
    return {
        "date_time": confirmed.date_time,
        "timezone": confirmed.timezone,
        "starts_at": starts_at and starts_at.isoformat(),
        "provider_id": confirmed.provider_id,
        "provider_name": confirmed.provider_name,
        "secondary_provider_id": confirmed.secondary_provider_id,
    }
