"""The counts that triggers keep: whatever happens, and whoever does it, they are what counting would find."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from service.cobalt import NeverLeft, Rejected, Throttled, Unclear
from service.domain.arrivals import Arrival, Source
from service.errors import AppointmentsError
from service.postgres.engine import transaction
from service.postgres.models import Account
from service.postgres.queries import asking, counts
from service.postgres.queries.decisions import Person
from service.postgres.sessions import connect
from service.usecases.events.apply_events import apply
from service.usecases.submissions.adopt import abandon_by_hand, adopt_by_hand
from service.usecases.submissions.correct import CorrectionRequest, correct
from service.usecases.submissions.submit import expire_leases
from service.usecases.upkeep.keep_counts import fold_counts, recount
from tests.counting import EVER, HOURS, assert_true, read, truth
from tests.records import (
    ACCOUNT,
    SETTINGS,
    accepted,
    answer,
    arrive,
    ask,
    claim,
    created,
    deliver,
    failed,
    rows,
    submit,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine


class History:
    """Does something at random, through the use cases, again and again."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.draw = random.Random(seed)  # noqa: S311 (the same each time)
        self.numbers = iter(range(1_000_000))
        self.cobalt_ids = [f"cobalt_{number}" for number in range(50)]
        with transaction(engine) as session:
            session.add(Account(name="clinic_2", reference="ref_2", access_token=b"x"))

    def step(self) -> None:
        often = [self.ask, self.ask, self.ask, self.answer, self.answer, self.tell, self.tell, self.correct]
        now_and_then = [self.decide, self.lose_workers, self.hurry, self.age, self.delete, self.fold]
        with suppress(AppointmentsError):  # it is not in a state for this
            self.draw.choice(often + now_and_then)()

    def ask(self) -> None:
        for _ in range(self.draw.randint(1, 4)):
            ask(self.engine, self.draw.choice([ACCOUNT, "clinic_2"]))

    def answer(self) -> None:
        for one in claim(self.engine, most=self.draw.randint(1, 5)).values():
            now = datetime.now(UTC)
            reply = self.draw.choice(
                [accepted(self.draw.choice(self.cobalt_ids)) for _ in range(5)]
                + [NeverLeft("ConnectError"), Throttled(timedelta()), Unclear("ReadTimeout"), None]
                + [Rejected(422, "No", now)]
            )
            if reply is not None:
                answer(self.engine, one, reply)

    def tell(self) -> None:
        """A batch, in which some are for ids that nobody knows yet."""
        batch = []
        for _ in range(self.draw.randint(1, 6)):
            make = self.draw.choice([created, failed])
            raw = make(f"evt_{next(self.numbers)}", self.draw.choice(self.cobalt_ids), self.draw.randint(-9, 9))
            one = arrive(raw)
            batch.append(Arrival(one.said, self.draw.choice(list(Source)), one.received_at))
        apply(self.engine, batch)

    def correct(self) -> None:
        for one in self.some("failed"):
            with transaction(self.engine) as session:
                wanted = CorrectionRequest(appointment_id=one, changes={}, key_id=None, request_id="req_test")
                correct(session, SETTINGS, wanted, check=lambda fields: fields)

    def decide(self) -> None:
        """A person adopts or abandons."""
        for one in self.some("processing"):
            if self.draw.random() < 0.5:
                abandon_by_hand(self.engine, one, person=Person("somebody"))
            else:
                adopt_by_hand(
                    self.engine, one, f"adopted_{one}", person=Person("somebody"), ask_after=timedelta(minutes=1)
                )

    def lose_workers(self) -> None:
        self.execute("UPDATE appointments SET lease_until = now() - interval '1 s' WHERE submission = 'sending'")
        expire_leases(self.engine)

    def hurry(self) -> None:
        with transaction(self.engine) as session:
            asking.claim_questions(session, allowed={ACCOUNT: 5}, now=datetime.now(UTC), interval=timedelta())

    def age(self) -> None:
        """Some things happened longer ago than they did."""
        hours = self.draw.uniform(0, HOURS / 10)
        self.execute(
            "UPDATE appointments SET created_at = greatest(created_at - :hours, :first),"
            " requested_at = greatest(requested_at - :hours * 0.9, :first) WHERE right(id, 1) = :some",
            hours=timedelta(hours=hours),
            first=EVER.begins,
            some=self.draw.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
        )

    def delete(self) -> None:
        """As retention does."""
        for one in self.some("created")[:1]:
            for table in ("events", "submissions", "corrections", "decisions"):
                self.execute(f"DELETE FROM {table} WHERE appointment_id = :one", one=one)  # noqa: S608
            self.execute("DELETE FROM appointments WHERE id = :one", one=one)
        self.execute("DELETE FROM events WHERE disposition = 'unmatched' AND right(id, 1) = '7'")

    def fold(self) -> None:
        fold_counts(self.engine)

    def some(self, status: str) -> list[str]:
        found = [one["id"] for one in rows(self.engine, "appointments") if one["status"] == status]
        return self.draw.sample(found, min(2, len(found)))

    def execute(self, statement: str, **parameters: object) -> None:
        with transaction(self.engine) as session:
            session.execute(text(statement), parameters)


@pytest.mark.parametrize("seed", range(3))
def test_after_any_history_the_counts_are_what_counting_finds(engine: Engine, seed: int) -> None:
    submit(engine, "1", "2")
    deliver(engine, created("evt_created", "1"), failed("evt_failed", "2"))
    history = History(engine, seed)
    for _ in range(120):
        history.step()

    assert len(truth(engine)) > 15
    for account in (None, ACCOUNT, "clinic_2", "nobody"):
        assert_true(engine, account)
    fold_counts(engine)
    assert rows(engine, "appointment_count_deltas") == []
    assert_true(engine)


def test_in_every_answer_all_that_was_submitted_has_a_status_whoever_writes_meanwhile(engine: Engine) -> None:
    done = threading.Event()

    def write(worker: int) -> None:
        for number in range(6):
            names = [f"{worker}_{number}_{one}" for one in range(4)]
            ids = [ask(engine) for _ in names]
            claims = {one: call for one, call in claim(engine).items() if one in ids}
            for one, name in zip(claims, names, strict=False):
                answer(engine, claims[one], accepted(name))
            deliver(engine, *(created(f"evt_{name}", name) for name in names[:3]), failed(f"evt_{names[3]}", names[3]))

    def fold() -> int:
        folded = 0
        while not done.is_set():
            folded += fold_counts(engine)["folded"]
        return folded

    def look() -> int:
        answers, before = 0, 0
        while not done.is_set():
            found = read(engine)
            everything = found.appointments
            assert everything.submitted == sum(everything.status.values()) == sum(everything.submission.values())
            assert everything.status["failed"] == sum(everything.failure_category.values())
            assert min([*everything.status.values(), *everything.submission.values()], default=0) >= 0
            assert sum((one.status for one in found.buckets.values()), Counter()) == +everything.status
            settled = sum(one.total() for one in found.outcomes.values())
            assert settled == everything.status["created"] + everything.status["failed"]
            assert everything.submitted >= before
            answers, before = answers + 1, everything.submitted
        return answers

    with ThreadPoolExecutor() as pool:
        try:
            beside = [pool.submit(fold), pool.submit(fold), pool.submit(look)]
            for one in [pool.submit(write, number) for number in range(4)]:
                one.result()
        finally:
            done.set()
        assert [one.result() > 0 for one in beside][2]
        assert beside[0].result() + beside[1].result() > 0
    assert read(engine).appointments.submitted == 4 * 6 * 4
    assert_true(engine)


def test_a_write_that_changes_nothing_counted_leaves_no_trace_in_the_counts(engine: Engine) -> None:
    submit(engine, "1", "2")
    fold_counts(engine)
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET due_at = now(), asks = asks + 1, version = version + 1"))
    assert rows(engine, "appointment_count_deltas") == []


def test_a_worker_leaves_the_counts_alone_while_another_folds_them(engine: Engine) -> None:
    ask(engine)
    with transaction(engine) as session:
        assert counts.try_lock(session)
        assert fold_counts(engine) == {"folded": 0}
    assert fold_counts(engine) == {"folded": 1}


def test_counts_of_unmatched_events_are_folded_into_one(engine: Engine) -> None:
    for number in range(5):
        deliver(engine, created(f"evt_{number}", f"{number}"))
    submit(engine, "1")
    fold_counts(engine)
    assert rows(engine, "unmatched_counts") == [{"count": 4}]
    fold_counts(engine)
    assert rows(engine, "unmatched_counts") == [{"count": 4}]


def test_counting_anew_mends_what_was_written_past_the_triggers_and_loses_nothing_meanwhile(
    engine: Engine, database_url: str
) -> None:
    submit(engine, "1", "2", "3")
    fold_counts(engine)
    with connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE appointments SET account = 'elsewhere'")
        connection.execute("INSERT INTO unmatched_counts VALUES (7)")
    with transaction(engine) as other:
        other.execute(text("UPDATE appointments SET submission = 'rejected' WHERE cobalt_appointment_id = '3'"))
        recount(engine)
        assert read(engine).appointments.submission == {"accepted": 3}
    assert read(engine).appointments.submission == {"accepted": 2, "rejected": 1}
    assert_true(engine)
    assert_true(engine, "elsewhere")


def test_outcomes_say_how_they_were_learned(engine: Engine) -> None:
    submit(engine, "1", "2", "3", "4")
    deliver(engine, created("evt_5", "5"))  # before its appointment is known
    for name, source in (("1", Source.WEBHOOK), ("2", Source.POLL), ("3", Source.SPOOL)):
        one = arrive(created(f"evt_{name}", name))
        apply(engine, [Arrival(one.said, source, one.received_at)])
    submit(engine, "5")
    refused = ask(engine)
    answer(engine, claim(engine)[refused], Rejected(422, "No", datetime.now(UTC)))

    learned = {source: some.total() for source, some in read(engine).outcomes.items()}

    assert learned == {"webhook": 2, "poll": 1, "spool": 1, "": 1}


def test_a_corrected_appointment_has_no_outcome_any_more(engine: Engine) -> None:
    [one] = submit(engine, "1")
    deliver(engine, failed("evt_1", "1"))
    with transaction(engine) as session:
        wanted = CorrectionRequest(appointment_id=one, changes={}, key_id=None, request_id="req_test")
        correct(session, SETTINGS, wanted, check=lambda fields: fields)
    assert not read(engine).outcomes
    assert_true(engine)
