"""The feed of changes: whoever follows it sees the last version of everything, and no version twice."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from service.errors import ChangesLostError, ChangesUnreadyError
from service.postgres.engine import transaction
from service.postgres.queries import asking, changes
from service.usecases.upkeep.keep_changes import keep_changes
from tests.records import ACCOUNT, ask, created, deliver, row, rows, submit, until, wait_for_the_others

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.postgres.queries.changes import Changes, Position

WRITERS = 8
CHANGES = 2000
TOGETHER = 3  # appointments that one transaction changes at most


def read(engine: Engine, after: Position | None = None, limit: int = 50) -> Changes:
    """Read what there is, all of it: nothing here is open."""
    wait_for_the_others(engine)
    with transaction(engine) as session:
        return changes.list_changes(session, after=after, limit=limit)


def ids(found: Changes) -> list[str]:
    return [one.id for one in found.rows]


def find_end(engine: Engine) -> Position:
    wait_for_the_others(engine)
    with transaction(engine) as session:
        return changes.find_end(session)


def has_changes(engine: Engine, after: Position) -> bool:
    with transaction(engine) as session:  # while others are open, for which `read` would wait
        return bool(changes.list_changes(session, after=after, limit=1).rows)


def execute(engine: Engine, statement: str, **parameters: object) -> None:
    with transaction(engine) as session:
        session.execute(text(statement), parameters)


def change(session: Session, *appointment_ids: str) -> None:
    """Make the next version of each, as every use case does."""
    wanted = {"ids": list(appointment_ids)}
    session.execute(text("SELECT FROM appointments WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE"), wanted)
    session.execute(text("UPDATE appointments SET version = version + 1 WHERE id = ANY(:ids)"), wanted)


@contextmanager
def held_open(engine: Engine) -> Iterator[Session]:
    """A transaction that has its number, and does not end."""
    with transaction(engine) as session:
        session.execute(text("SELECT pg_current_xact_id()"))
        yield session


class Follower:
    """Reads the feed in small pages, from where it was."""

    def __init__(self, engine: Engine, after: Position | None = None) -> None:
        self.engine = engine
        self.after = after
        self.seen: list[tuple[str, int]] = []

    def catch_up(self) -> list[tuple[str, int]]:
        """Read all that can be shown; returns what is new."""
        new = []
        more = True
        while more:
            with transaction(self.engine) as session:
                found = changes.list_changes(session, after=self.after, limit=7)
            assert len(found.rows) <= 7
            assert len(set(ids(found))) == len(found.rows)
            new += [(one.id, one.version) for one in found.rows]
            self.after, more = found.last, found.more
        self.seen += new
        return new

    def catch_up_with_all(self) -> list[tuple[str, int]]:
        """Read all that there is, when nothing here is open."""
        wait_for_the_others(self.engine)
        return self.catch_up()


class Writers:
    """Change appointments at random, each in transactions of its own; some are taken back."""

    def __init__(self, engine: Engine, appointment_ids: list[str]) -> None:
        self.engine = engine
        self.ids = appointment_ids
        self.count = itertools.count(1)
        self.done = 0

    def write(self, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 (the same each time)
        while self.done < CHANGES:
            some = draw.sample(self.ids, draw.randint(1, TOGETHER))
            with transaction(self.engine) as session:
                if draw.random() < 0.3:
                    session.execute(text("SELECT pg_current_xact_id()"))  # numbered long before it changes anything
                change(session, *some[:1])
                change(session, *(one for one in some[1:] if one > some[0]))  # in one order: nobody waits in a circle
                if draw.random() < 0.1:
                    session.rollback()
            self.done = next(self.count)


def test_who_follows_sees_the_last_version_of_everything_and_none_twice_whoever_writes(engine: Engine) -> None:
    several = [ask(engine) for _ in range(40)]
    held, late = ask(engine), ask(engine)
    writers = Writers(engine, several)
    follower = Follower(engine)
    stop = threading.Event()

    def follow() -> None:
        while not stop.is_set():
            follower.catch_up()
        wait_for_the_others(engine)
        follower.catch_up()

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        try:
            follows = pool.submit(follow)
            writes = [pool.submit(writers.write, number) for number in range(WRITERS)]
            until(lambda: writers.done > CHANGES / 5, 60)
            with held_open(engine) as session:
                change(session, held)
                until(lambda: writers.done > CHANGES * 2 / 5, 60)
            with held_open(engine) as session:
                until(lambda: writers.done > CHANGES * 3 / 5, 60)
                change(session, late)
            for one in writes:
                one.result()
        finally:
            stop.set()
        follows.result()

    assert len(follower.seen) > CHANGES / 20
    assert len(set(follower.seen)) == len(follower.seen)
    last = dict(follower.seen)
    assert last == {one["id"]: one["version"] for one in rows(engine, "appointments")}
    assert last[held] == last[late] == 2


def test_what_changed_while_an_older_transaction_is_open_is_shown_when_that_ends(engine: Engine) -> None:
    first, second, third = (ask(engine) for _ in range(3))
    follower = Follower(engine)
    assert follower.catch_up_with_all() == [(first, 1), (second, 1), (third, 1)]
    with held_open(engine) as older:
        with transaction(engine) as younger:
            change(younger, second, third)
        assert follower.catch_up() == []
        assert follower.after
        assert not has_changes(engine, follower.after)
        change(older, first, third)
    assert follower.catch_up_with_all() == [(first, 2), (third, 3), (second, 2)]
    assert follower.catch_up_with_all() == []


def test_what_a_transaction_took_back_is_not_shown(engine: Engine) -> None:
    one = ask(engine)
    follower = Follower(engine)
    follower.catch_up_with_all()
    with transaction(engine) as session:
        change(session, one)
        session.rollback()
    assert follower.catch_up_with_all() == []
    with transaction(engine) as session, session.begin_nested():
        change(session, one)
    assert follower.catch_up_with_all() == [(one, 2)]


def test_an_event_is_a_change_and_a_question_to_cobalt_is_none(engine: Engine) -> None:
    [one] = submit(engine, "1")
    follower = Follower(engine)
    follower.catch_up_with_all()
    with transaction(engine) as session:
        far = datetime.now(UTC) + timedelta(days=1)
        assert asking.claim_questions(session, allowed={ACCOUNT: 1}, now=far, interval=timedelta())
    assert follower.catch_up_with_all() == []
    deliver(engine, created("evt_1", "1"))
    assert follower.catch_up_with_all() == [(one, row(engine, one)["version"])]


def test_a_position_stays_good_when_its_own_appointment_is_gone(engine: Engine) -> None:
    first, second, third = (ask(engine) for _ in range(3))
    found = read(engine, limit=2)
    assert (ids(found), found.more) == ([first, second], True)
    execute(engine, "DELETE FROM appointments WHERE id = :one", one=second)
    found = read(engine, found.last)
    assert (ids(found), found.more) == ([third], False)


def test_who_begins_at_the_end_sees_only_what_comes_then(engine: Engine) -> None:
    start = find_end(engine)
    first = ask(engine)
    end = find_end(engine)
    assert ids(read(engine, start)) == [first]
    assert has_changes(engine, start)
    assert not has_changes(engine, end)
    assert (ids(read(engine, end)), read(engine, end).last) == ([], end)
    second = ask(engine)
    assert ids(read(engine, end)) == [second]
    assert has_changes(engine, end)


def test_versions_are_found_for_those_that_exist(engine: Engine) -> None:
    first, second = ask(engine), ask(engine)
    with transaction(engine) as session:
        change(session, second)
        assert changes.find_versions(session, [first, second, "appt_none"]) == {first: 1, second: 2}
        assert changes.find_versions(session, []) == {}


# Fail-overs and restores.


def test_after_a_fail_over_a_reader_goes_on_from_what_both_timelines_share(engine: Engine) -> None:
    first = ask(engine)
    end = find_end(engine)
    former = end.timeline - 1
    with transaction(engine) as session:
        changes.mark(session)
        session.execute(text("UPDATE change_marks SET timeline = :former"), {"former": former})
    second = ask(engine)
    beyond = replace(find_end(engine), timeline=former, number=find_end(engine).number + 1000)
    before = replace(end, timeline=former, number=0, appointment_id="")

    assert ids(read(engine, beyond)) == [second]
    assert has_changes(engine, beyond)
    assert ids(read(engine, before)) == [first, second]
    assert read(engine, beyond).last.timeline == end.timeline


def test_a_position_of_another_database_or_of_a_timeline_nobody_knows_is_refused(engine: Engine) -> None:
    ask(engine)
    end = find_end(engine)
    for strange in (replace(end, database="1/1"), replace(end, timeline=end.timeline + 1)):
        with pytest.raises(ChangesLostError):
            read(engine, strange)
        with pytest.raises(ChangesLostError):
            has_changes(engine, strange)


def test_a_mark_is_never_beyond_a_transaction_that_is_open(engine: Engine) -> None:
    with held_open(engine) as session:
        number = session.scalar(text("SELECT pg_current_xact_id()::text::bigint"))
        keep_changes(engine)
        [mark] = rows(engine, "change_marks")
        assert mark["reached"] <= number
    wait_for_the_others(engine)
    keep_changes(engine)
    [later] = rows(engine, "change_marks")
    assert later["reached"] > number
    assert later["at"] > mark["at"]


def test_numbers_that_a_restored_copy_brought_are_taken_back_before_anything_is_shown(engine: Engine) -> None:
    first, second, third = (ask(engine) for _ in range(3))
    execute(engine, "UPDATE appointments SET changed_in = changed_in + 1000000 WHERE id <> :one", one=third)
    with pytest.raises(ChangesUnreadyError):
        read(engine)
    assert keep_changes(engine) == {"renumbered": 2}
    assert ids(read(engine)) == [first, second, third]
    assert keep_changes(engine) == {"renumbered": 0}


def test_a_change_that_is_made_while_numbers_are_taken_back_keeps_its_own(engine: Engine) -> None:
    one = ask(engine)
    execute(engine, "UPDATE appointments SET changed_in = 1000000000")
    with ThreadPoolExecutor(1) as pool:
        with held_open(engine) as session:
            change(session, one)
            number = session.scalar(text("SELECT pg_current_xact_id()::text::bigint"))
            keeps = pool.submit(keep_changes, engine)
            until(lambda: keeps.done() or waits(engine))
        assert keeps.result() == {"renumbered": 0}
    assert row(engine, one)["changed_in"] == number


def waits(engine: Engine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with transaction(engine) as session:
        return bool(session.scalar(text(query)))
