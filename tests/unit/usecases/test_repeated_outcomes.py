"""One outcome under several ids counts once, and no order of them changes where an appointment ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.events import Kind, event_from
from service.domain.states import EVER, Disposition, Standing, Status
from service.domain.submission import Submission
from service.postgres.queries.appointments import Locked
from service.usecases.events.settling import settle

if TYPE_CHECKING:
    from service.domain.events import Event

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
SAYINGS = {
    "no patient": ("appointment.failed", {"failure_reason": "Patient MRN '1' not found in eCW."}),
    "no provider": ("appointment.failed", {"failure_reason": "Provider 'x' not found in eCW."}),
    "at ten": ("appointment.created", {"date_time": "2025-01-01T10:00Z"}),
    "at eleven": ("appointment.created", {"date_time": "2025-01-01T11:00Z"}),
}


def told(number: int, saying: str, minute: int) -> Event:
    kind, data = SAYINGS[saying]
    at = (NOON + timedelta(minutes=minute)).isoformat()
    payload = {"id": f"evt_{number}", "type": kind, "created": at, "data": {"appointment_id": "1", **data}}
    return event_from(payload, received_at=NOON + timedelta(days=1))


def locked(since: datetime = EVER) -> Locked:
    return Locked("appt_1", "clinic_1", Standing(since=since), Submission.ACCEPTED, asked_mrn="1", asked_start=None)


def seen(row: Locked) -> tuple[object, ...]:
    """What a reader sees of an appointment, but for times."""
    outcome = row.outcome
    assert outcome
    shown = outcome.failure or outcome.confirmation or {}
    return (
        row.standing.status,
        row.standing.conflicts,
        outcome.failure_category,
        shown.get("reason"),
        shown.get("start"),
    )


# Few minutes and few sayings, so that repeats and ties are the rule.
EVENTS = st.lists(st.tuples(st.sampled_from(sorted(SAYINGS)), st.integers(0, 3)), min_size=1, max_size=7)


@settings(max_examples=500)
@given(EVENTS, st.sampled_from([EVER, NOON + timedelta(minutes=1)]), st.data())
def test_any_order_of_repeated_outcomes_ends_in_the_same_place(
    said: list[tuple[str, int]], since: datetime, data: st.DataObject
) -> None:
    events = [told(number, saying, minute) for number, (saying, minute) in enumerate(said)]
    ends = []
    for order in (events, data.draw(st.permutations(events))):
        row = locked(since)
        dispositions = {}
        for event in order:
            decision = settle(row, event, source="webhook", now=NOON)
            dispositions[event.id] = decision.disposition
            if decision.superseded:
                dispositions[decision.superseded] = Disposition.SUPERSEDED
        ends.append((row.standing, dispositions, seen(row) if row.outcome else None))
    assert ends[0] == ends[1]

    [(standing, _, _), _] = ends
    counting = [event for event in events if event.kind is Kind.FAILED and event.occurred_at >= since]
    assert standing.failures == len({event.failure.reason for event in counting if event.failure})


def test_a_repeat_changes_nothing_that_is_seen() -> None:
    for first, second in ((0, 1), (1, 0)):
        row = locked()
        settle(row, told(first, "no patient", 1), source="webhook", now=NOON)
        before, row.changed = row.outcome, False
        decision = settle(row, told(second, "no patient", 1), source="poll", now=NOON)
        assert decision.repeats == f"evt_{first}"
        assert (row.outcome, row.changed, row.standing.failures) == (before, False, 1)


def test_the_same_failure_of_another_attempt_is_news() -> None:
    row = locked()
    settle(row, told(0, "no patient", 1), source="webhook", now=NOON)
    row.standing = Standing(Status.FAILED, 2, NOON + timedelta(minutes=2), row.standing.ruling, 0)
    assert settle(row, told(1, "no patient", 3), source="webhook", now=NOON).repeats is None
    assert row.standing.failures == 1
