"""Transactions that race at their worst moments: held open just before they commit, while others run into them."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event as engine_event
from sqlalchemy import text

from service.cobalt import Unclear
from service.domain.states import Disposition
from service.postgres.engine import transaction
from service.postgres.sessions import connect
from service.usecases.submissions.submit import expire_leases
from tests.fake_cobalt import FakeCobalt, look
from tests.records import (
    FIELDS,
    NOON,
    SETTINGS,
    accepted,
    answer,
    ask,
    claim,
    columns,
    created,
    deliver,
    dispositions,
    event,
    failed,
    open_engine,
    row,
    rows,
    submit,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    import psycopg
    from sqlalchemy import Engine

APPLIED, UNMATCHED, DUPLICATE = Disposition.APPLIED, Disposition.UNMATCHED, Disposition.DUPLICATE
PATIENCE = 10  # seconds until a test gives up


@pytest.fixture
def held(database_url: str) -> Iterator[Held]:
    with open_engine(database_url) as engine:
        held = Held(engine)
        yield held
        held.let_go.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


class Held:
    """An engine whose transactions stop when all is done but the commit."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reached = threading.Event()
        self.let_go = threading.Event()
        engine_event.listen(engine, "connect", self._hold_commits)

    def _hold_commits(self, connection: psycopg.Connection[Any], _record: object) -> None:
        commit = connection.commit

        def commit_later() -> None:
            self.reached.set()
            assert self.let_go.wait(PATIENCE)
            commit()

        connection.commit = commit_later  # type: ignore[method-assign]


@contextmanager
def racing(engine: Engine, held: Held, first: Future[Any], start: Callable[[], Future[Any]]) -> Iterator[Future[Any]]:
    """Hold the first just before its commit, start the second, and let the first go once the second waits for it."""
    until(lambda: held.reached.is_set() or first.done())
    second = start()
    until(lambda: second.done() or waiting(engine))
    yield second
    held.let_go.set()
    first.result(PATIENCE)
    second.result(PATIENCE)


def waiting(engine: Engine) -> int:
    """Count the transactions of this database that wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with transaction(engine) as session:
        count: int = session.execute(text(query)).scalar_one()
        return count


@pytest.mark.parametrize(
    "door_is_first", [True, False], ids=["the door found nothing yet", "the reply is not committed"]
)
def test_an_event_and_the_reply_that_makes_its_id_known_never_miss_each_other(
    engine: Engine, held: Held, threads: ThreadPoolExecutor, *, door_is_first: bool
) -> None:
    asked = ask(engine)
    call = claim(engine)[asked]

    def take_event(on: Engine) -> Future[list[Disposition]]:
        return threads.submit(deliver, on, created("evt_1", "1"))

    def take_reply(on: Engine) -> Future[str]:
        return threads.submit(answer, on, call, accepted("1"))

    if door_is_first:
        door: Future[list[Disposition]] = take_event(held.engine)
        with racing(engine, held, door, lambda: take_reply(engine)) as reply:
            assert not reply.done()
        assert door.result() == [UNMATCHED]
    else:
        reply = take_reply(held.engine)
        with racing(engine, held, reply, lambda: take_event(engine)) as door:
            assert not door.done()
        assert door.result() == [APPLIED]

    assert reply.result() == "accepted"
    assert columns(row(engine, asked), "status", "submission", "ruling_event_id") == ("created", "accepted", "evt_1")
    assert dispositions(engine) == {"evt_1": "applied"}


def test_an_event_races_with_the_reply_again_and_again_and_none_is_missed(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    asked = [ask(engine) for _ in range(40)]
    calls = claim(engine)
    start = threading.Barrier(2)

    def deliver_all() -> None:
        for number in range(len(asked)):
            start.wait(PATIENCE)
            deliver(engine, failed(f"evt_f{number}", f"{number}"), created(f"evt_c{number}", f"{number}", 1))

    def answer_all() -> None:
        for number, one in enumerate(asked):
            start.wait(PATIENCE)
            assert answer(engine, calls[one], accepted(f"{number}")) == "accepted"

    for future in [threads.submit(deliver_all), threads.submit(answer_all)]:
        future.result(30)

    ends = {columns(one, "status", "submission", "failures") for one in rows(engine, "appointments")}
    assert ends == {("created", "accepted", 1)}
    assert set(dispositions(engine).values()) == {"applied", "superseded"}


def test_an_event_that_settles_and_comes_through_two_doors_at_once_is_applied_once(
    engine: Engine, held: Held, threads: ThreadPoolExecutor
) -> None:
    [one] = submit(engine, "1")
    raw = failed("evt_1", "1")

    first = threads.submit(deliver, held.engine, raw)
    with racing(engine, held, first, lambda: threads.submit(deliver, engine, raw)) as second:
        assert not second.done()

    assert (first.result(), second.result()) == ([APPLIED], [DUPLICATE])
    assert row(engine, one)["failures"] == 1


def test_an_event_that_settles_nothing_and_comes_through_two_doors_at_once_is_kept_once(
    engine: Engine, held: Held, threads: ThreadPoolExecutor
) -> None:
    raw = event("evt_1", "patient.created", {"patient_id": "1"})

    first = threads.submit(deliver, held.engine, raw)
    with racing(engine, held, first, lambda: threads.submit(deliver, engine, raw)) as second:
        assert not second.done()

    assert (first.result(), second.result()) == ([Disposition.IGNORED], [DUPLICATE])
    assert len(rows(engine, "events")) == 1
    assert [one["disposition"] for one in rows(engine, "deliveries")] == ["ignored", "duplicate"]


def test_two_doors_with_the_same_ignored_events_in_opposite_orders_do_not_lock_each_other_out(
    engine: Engine, database_url: str, threads: ThreadPoolExecutor
) -> None:
    first, second, third = (event(f"evt_{name}", "note.created", {}) for name in ("1", "2", "3"))
    with connect(database_url) as elsewhere:
        # Somebody else is about to record the third: whoever brings it too stops there, the others already written.
        elsewhere.execute(
            "INSERT INTO events (id, type, disposition, occurred_at, received_at, source, payload)"
            " VALUES ('evt_3', 'note.created', 'ignored', now(), now(), 'webhook', '{}')"
        )
        one = threads.submit(deliver, engine, first, third, second)
        until(lambda: waiting(engine) == 1)
        other = threads.submit(deliver, engine, second, first)
        until(lambda: waiting(engine) == 2)
        elsewhere.rollback()

        answers = [*one.result(PATIENCE), *other.result(PATIENCE)]

    assert sorted(answers) == [DUPLICATE] * 2 + [Disposition.IGNORED] * 3
    assert sorted(dispositions(engine)) == ["evt_1", "evt_2", "evt_3"]


def test_a_batch_of_ignored_events_that_come_through_two_other_doors_meanwhile_is_known_by_then(
    engine: Engine, held: Held, database_url: str, threads: ThreadPoolExecutor
) -> None:
    first, second = event("evt_1", "note.created", {}), event("evt_2", "note.created", {})
    with open_engine(database_url) as also:
        held_too = Held(also)
        one, other = threads.submit(deliver, held.engine, first), threads.submit(deliver, also, second)
        until(lambda: held.reached.is_set() and held_too.reached.is_set())
        both = threads.submit(deliver, engine, first, second)
        until(lambda: waiting(engine))
        held.let_go.set()
        assert one.result(PATIENCE) == [Disposition.IGNORED]
        until(lambda: waiting(engine))
        held_too.let_go.set()

        assert other.result(PATIENCE) == [Disposition.IGNORED]
        assert both.result(PATIENCE) == [DUPLICATE] * 2


def test_doors_with_overlapping_batches_in_any_order_never_lock_each_other_out(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    names = [f"{number}" for number in range(8)]
    submit(engine, *names)
    doors = 4
    start = threading.Barrier(doors)

    def keep_delivering(number: int) -> list[Disposition]:
        draw = random.Random(number)  # noqa: S311 (the same each time)
        answers = []
        for turn in range(15):
            raws = [failed(f"evt_{turn}_{name}", name, turn) for name in names]
            raws += [failed(f"evt_{turn}_unknown_{name}", f"unknown_{name}", turn) for name in names]
            raws += [event(f"evt_{turn}_note_{name}", "note.created", {"appointment_id": name}) for name in names]
            batch = draw.sample(raws, 18)
            start.wait(PATIENCE)
            answers += deliver(engine, *batch)
        return answers

    answers = [answer for one in threads.map(keep_delivering, range(doors)) for answer in one]

    assert len(answers) == doors * 15 * 18
    recorded = dispositions(engine)
    assert len(recorded) == len(answers) - answers.count(DUPLICATE)
    for found in rows(engine, "appointments"):
        of_this = [one for one in rows(engine, "events") if one["appointment_id"] == found["id"]]
        assert found["failures"] == len(of_this)
        assert [one["id"] for one in of_this if one["disposition"] == "applied"] == [found["ruling_event_id"]]
        assert found["ruling_at"] == max(one["occurred_at"] for one in of_this)


def test_no_two_workers_ever_claim_the_same_appointment(engine: Engine, threads: ThreadPoolExecutor) -> None:
    asked = {ask(engine) for _ in range(120)}
    workers = 8
    start = threading.Barrier(workers)

    def keep_claiming(_number: int) -> list[str]:
        start.wait(PATIENCE)
        mine: list[str] = []
        # Another worker may hold what is left, and skip it is what a claim does: an empty hand is not the end.
        while len(claimed) < len(asked):
            taken = claim(engine, most=5)
            mine += taken
            claimed.extend(taken)
        return mine

    claimed: list[str] = []
    each = list(threads.map(keep_claiming, range(workers)))

    assert sorted(claimed) == sorted(asked)
    assert sum(len(mine) for mine in each) == len(asked)
    assert len(rows(engine, "submissions")) == len(asked)
    assert {columns(one, "submission", "tries") for one in rows(engine, "appointments")} == {("sending", 1)}


def test_two_replies_with_the_same_id_at_once_make_only_one_appointment_its_owner(
    engine: Engine, held: Held, threads: ThreadPoolExecutor
) -> None:
    one, other = ask(engine), ask(engine)
    calls = claim(engine)

    first = threads.submit(answer, held.engine, calls[one], accepted("1"))
    with racing(engine, held, first, lambda: threads.submit(answer, engine, calls[other], accepted("1"))) as second:
        assert not second.done()

    assert (first.result(), second.result()) == ("accepted", "unconfirmed")
    assert row(engine, other)["cobalt_appointment_id"] is None


def test_a_reply_that_comes_while_the_lease_expires_is_not_lost(
    engine: Engine, held: Held, threads: ThreadPoolExecutor
) -> None:
    asked = ask(engine)
    call = claim(engine)[asked]
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET lease_until = now() - interval '1 second'"))

    first = threads.submit(expire_leases, held.engine)
    with racing(engine, held, first, lambda: threads.submit(answer, engine, call, accepted("1"))) as second:
        assert not second.done()

    assert (first.result(), second.result()) == ({"expired": 1}, "accepted")
    assert columns(row(engine, asked), "submission", "cobalt_appointment_id") == ("accepted", "1")


def test_an_event_that_is_not_committed_when_its_request_is_looked_at_is_found_by_the_next_look(
    engine: Engine, held: Held, threads: ThreadPoolExecutor, cobalt: FakeCobalt
) -> None:
    asked = ask(engine)
    answer(engine, claim(engine)[asked], Unclear("ReadTimeout"))
    before = (datetime.now(UTC) - NOON) / timedelta(minutes=1)

    door = threads.submit(deliver, held.engine, created("evt_1", "1", before + 1, provider_name=FIELDS["provider"]))
    until(lambda: held.reached.is_set() or door.done())
    look(engine, SETTINGS, cobalt)
    held.let_go.set()
    assert door.result(PATIENCE) == [UNMATCHED]
    look(engine, SETTINGS, cobalt)

    assert columns(row(engine, asked), "status", "submission") == ("created", "accepted")
