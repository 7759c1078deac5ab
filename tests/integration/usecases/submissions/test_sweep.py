"""The sweep: one walk over an account's events finds every outcome that was missed, once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.cobalt import Unclear
from service.domain.event_walk import PAGE_SIZE
from service.errors import CobaltError
from service.postgres.engine import transaction
from service.postgres.queries import sweeps
from service.usecases.submissions.slots import Pace
from service.usecases.submissions.sweep import FOR_THE_WEBHOOK, Sweeper
from tests.fake_cobalt import FakeCobalt, look
from tests.integration.usecases.submissions.test_asking import HOUR, SETTINGS, fetched, overdue, pass_time
from tests.records import (
    ACCOUNT,
    answer,
    ask,
    claim,
    created,
    deliver,
    dispositions,
    failed,
    row,
    rows,
    submit,
    until,
)

if TYPE_CHECKING:
    import threading

    from sqlalchemy import Engine


class Never:
    """Nobody waits for a turn here."""

    def wait(self, _seconds: float) -> None:
        pass


def sweeper(engine: Engine, cobalt: FakeCobalt, settings: Any = SETTINGS) -> Sweeper:  # noqa: ANN401
    client: Any = cobalt
    ending: threading.Event | Any = Never()
    return Sweeper(engine, settings, client, Pace(1000, ending))


def listed(*raws: bytes, at: datetime | None = None) -> list[dict[str, Any]]:
    """Rows of Cobalt's list, newest first, all of this moment."""
    moment = (at or datetime.now(UTC)).isoformat()
    return [fetched(json.dumps(json.loads(raw) | {"created": moment}).encode()) for raw in raws]


def mark(engine: Engine) -> dict[str, Any]:
    [found] = rows(engine, "sweeps")
    return found


def test_it_finds_outcomes_whether_or_not_a_jobs_id_was_learned(engine: Engine, cobalt: FakeCobalt) -> None:
    ids = submit(engine, "c1", "c2", "c3")
    cobalt.all_events = listed(created("e1", "c1"), failed("e2", "c2"))
    swept = sweeper(engine, cobalt).sweep(ACCOUNT)
    assert swept
    assert (swept.calls, swept.events, swept.settled) == (1, 2, 2)
    assert [row(engine, one)["status"] for one in ids] == ["created", "failed", "processing"]
    assert {row(engine, one)["learned_from"] for one in ids[:2]} == {"poll"}


def test_a_second_walk_brings_nothing_new(engine: Engine, cobalt: FakeCobalt) -> None:
    submit(engine, "c1")
    cobalt.all_events = listed(created("e1", "c1"))
    assert sweeper(engine, cobalt).sweep(ACCOUNT)
    before = rows(engine, "deliveries")
    again = sweeper(engine, cobalt).sweep(ACCOUNT)
    assert again
    assert (again.events, again.settled) == (0, 0)
    assert rows(engine, "deliveries") == before


def test_a_create_whose_reply_was_lost_is_settled_by_it(engine: Engine, cobalt: FakeCobalt) -> None:
    one = ask(engine, provider="Dr. Smith")
    answer(engine, claim(engine)[one], Unclear("no answer in time"))
    cobalt.all_events = listed(created("e1", "c1"))
    look(engine, SETTINGS, cobalt)
    assert row(engine, one)["status"] == "created"
    assert [kind for kind, *_ in cobalt.asked] == []  # the list of appointments was not needed


def test_all_open_questions_of_an_account_share_one_walk(engine: Engine, cobalt: FakeCobalt) -> None:
    ids = [overdue(engine, f"c{n}") for n in range(4)]
    cobalt.all_events = listed(*(created(f"e{n}", f"c{n}") for n in range(4)))
    until(lambda: look(engine, SETTINGS, cobalt) == {"asked": 0})
    assert {row(engine, one)["status"] for one in ids} == {"created"}
    assert len(cobalt.walked) == 1
    assert cobalt.asked == []


def test_it_goes_back_to_what_was_seen_before_and_an_overlap(engine: Engine, cobalt: FakeCobalt) -> None:
    one = sweeper(engine, cobalt)
    assert one.sweep(ACCOUNT)
    reached = mark(engine)["swept_to"]
    with transaction(engine) as session:
        session.execute(text("UPDATE sweeps SET swept_to = swept_to - interval '2 hours'"))
    late = datetime.now(UTC) - 2 * HOUR - SETTINGS.sweep_overlap + timedelta(minutes=1)
    too_old = late - timedelta(minutes=2)
    submit(engine, "c1", "c2")
    cobalt.all_events = listed(created("e1", "c1"), at=late) + listed(created("e2", "c2"), at=too_old) * PAGE_SIZE
    cobalt.all_events += listed(created("e3", "c3"), at=too_old - HOUR)
    cobalt.walked.clear()
    assert one.sweep(ACCOUNT)
    assert len(cobalt.walked) == 1
    assert "e3" not in dispositions(engine)
    assert dispositions(engine)["e1"] == "applied"
    assert mark(engine)["swept_to"] >= reached


def test_a_walk_that_breaks_off_leaves_the_mark(engine: Engine, cobalt: FakeCobalt) -> None:
    one = sweeper(engine, cobalt)
    assert one.sweep(ACCOUNT)
    before = mark(engine)
    cobalt.is_away = True
    with pytest.raises(CobaltError):
        one.sweep(ACCOUNT)
    after = mark(engine)
    assert (after["swept_to"], after["lease_until"]) == (before["swept_to"], None)
    assert after["due_at"] < before["due_at"]


def test_of_two_workers_one_walks(engine: Engine, cobalt: FakeCobalt) -> None:
    now = datetime.now(UTC)
    with transaction(engine) as session:
        sweeps.ensure(session, [ACCOUNT], now=now)
        assert sweeps.claim(session, ACCOUNT, now=now, lease_until=now + HOUR)
    assert sweeper(engine, cobalt).sweep(ACCOUNT) is None
    assert cobalt.walked == []
    with transaction(engine) as session:
        assert sweeps.claim(session, ACCOUNT, now=now + 2 * HOUR, lease_until=now + 3 * HOUR)  # its worker was lost


def test_what_its_webhook_may_still_bring_is_left_to_it_at_first(engine: Engine, cobalt: FakeCobalt) -> None:
    [one] = submit(engine, "c1")
    cobalt.all_events = listed(created("e1", "c1"))
    first = sweeper(engine, cobalt)
    assert first.run_once() == {"started": 1}
    first.finish()
    assert row(engine, one)["status"] == "processing"
    cobalt.all_events = listed(created("e1", "c1"), at=datetime.now(UTC) - FOR_THE_WEBHOOK - timedelta(seconds=1))
    second = sweeper(engine, cobalt)  # a worker that starts sweeps at once
    assert second.run_once() == {"started": 1}
    second.finish()
    assert row(engine, one)["status"] == "created"


def test_a_walk_is_due_every_interval(engine: Engine, cobalt: FakeCobalt) -> None:
    one = sweeper(engine, cobalt)
    assert one.run_once() == {"started": 1}
    until(lambda: mark(engine)["swept_at"])
    assert one.run_once() == {"started": 0}
    with transaction(engine) as session:
        session.execute(text("UPDATE sweeps SET due_at = due_at - :t"), {"t": SETTINGS.sweep_interval * 1.1})
    assert one.run_once() == {"started": 1}
    one.finish()


def test_what_cannot_be_read_goes_to_the_quarantine_and_nothing_else_is_lost(
    engine: Engine, cobalt: FakeCobalt
) -> None:
    [one] = submit(engine, "c1")
    cobalt.all_events = [{"event_type": "appointment.created"}, *listed(created("e1", "c1"))]
    assert sweeper(engine, cobalt).sweep(ACCOUNT)
    assert row(engine, one)["status"] == "created"
    assert len(rows(engine, "quarantine")) == 1


def test_an_event_that_came_by_webhook_is_not_delivered_again(engine: Engine, cobalt: FakeCobalt) -> None:
    submit(engine, "c1")
    raw = created("e1", "c1")
    deliver(engine, raw)
    cobalt.all_events = listed(raw)
    swept = sweeper(engine, cobalt).sweep(ACCOUNT)
    assert swept
    assert swept.events == 0
    assert len(rows(engine, "deliveries")) == 1


def test_the_first_walk_begins_where_the_oldest_open_request_does(engine: Engine, cobalt: FakeCobalt) -> None:
    submit(engine, "c1")
    pass_time(engine, 48 * HOUR)
    assert sweeper(engine, cobalt).sweep(ACCOUNT)
    [(_, first, last, _)] = cobalt.walked
    assert (last - first).days >= 3


def test_a_day_without_any_webhook_is_made_up_for_by_one_walk(engine: Engine, cobalt: FakeCobalt) -> None:
    number = 450
    with transaction(engine) as session:
        sweeps.ensure(session, [ACCOUNT], now=datetime.now(UTC))
        sweeps.finish(
            session,
            ACCOUNT,
            swept_to=datetime.now(UTC) - 24 * HOUR,
            swept_at=datetime.now(UTC) - 24 * HOUR,
            due_at=datetime.now(UTC) + HOUR,
        )
    ids = submit(engine, *(f"c{n}" for n in range(number)))
    pass_time(engine, 24 * HOUR)
    ended = [failed if n % 3 == 0 else created for n in range(number)]
    for n in reversed(range(number)):
        at = datetime.now(UTC) - 24 * HOUR + 24 * HOUR * n / number
        cobalt.all_events += listed(ended[n](f"e{n}", f"c{n}"), at=at)

    worker = sweeper(engine, cobalt)  # back after a day; the interval is not over
    assert worker.run_once() == {"started": 1}
    worker.finish()

    found = by_id(engine)
    assert [found[one]["status"] for one in ids] == ["failed", "created", "created"] * (number // 3)
    assert {one["failures"] + (one["status"] == "created") for one in found.values()} == {1}
    assert len(rows(engine, "events")) == number
    assert len(cobalt.walked) <= number // PAGE_SIZE + 1
    assert cobalt.asked == []


def by_id(engine: Engine) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in rows(engine, "appointments")}
