"""An account that Cobalt refuses: nothing of it is sent, one call in a while tries it, and it comes back by itself."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.domain.account_health import Hold
from service.domain.states import Disposition
from service.errors import ConflictError, NotFoundError
from service.postgres.engine import transaction
from service.telemetry import log
from service.usecases.access.account_holds import hold_account, resume_account
from service.usecases.access.accounts import add_account, remove_account
from service.usecases.submissions.ask_cobalt import Asker
from tests.answering_cobalt import Answer, AnsweringCobalt, Call, take
from tests.integration.usecases.submissions.test_submission import Worker, add_clinic
from tests.records import (
    ACCOUNT,
    accepted,
    answer,
    ask,
    claim,
    columns,
    created,
    deliver,
    event,
    open_engine,
    row,
    rows,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

SECRET_WORDS = "Jane Doe 123456789"
LOGIN = Answer(403, {"error": "login_required", "message": SECRET_WORDS})
FORBIDDEN = Answer(403, {"success": False})
UNAUTHORIZED = Answer(401, {"success": False})
BUSY = Answer(429, {"success": False}, {"Retry-After": "30"})
BROKEN = Answer(503, {"success": False})


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with open_engine(database_url) as engine:
        yield engine


@pytest.fixture
def fake() -> Iterator[AnsweringCobalt]:
    with AnsweringCobalt() as fake:
        yield fake


@pytest.fixture
def workers(engine: Engine, fake: AnsweringCobalt) -> Iterator[list[Worker]]:
    workers = [Worker(engine, fake), Worker(engine, fake)]
    yield workers
    fake.open.set()
    for worker in workers:
        worker.close()


@pytest.fixture
def worker(workers: list[Worker]) -> Worker:
    return workers[0]


@pytest.fixture
def lines() -> Callable[[], list[dict[str, Any]]]:
    stream = io.StringIO()
    log.configure("info", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def always(said: Answer) -> Callable[[Call], Answer]:
    return lambda _call: said


def asking(asked: list[str], said: Answer) -> Callable[[str], Answer]:
    """Answer questions so, and note them."""

    def answer_question(path: str) -> Answer:
        asked.append(path)
        return said

    return answer_question


def run(worker: Worker) -> int:
    """Run once, and wait for every call; returns how many there were."""
    counts = worker.submitter.run_once()
    worker.wait_for(counts["claimed"] + counts["tried"])
    return counts["claimed"] + counts["tried"]


def health(engine: Engine, account: str = ACCOUNT) -> tuple[Any, ...]:
    """Say what is known of an account's health and the reason for it; nothing while it never was in trouble."""
    found = [one for one in rows(engine, "account_health") if one["account"] == account]
    return columns(found[0], "health", "reason") if found else (None, None)


def pass_time(engine: Engine, seconds: float) -> None:
    """Let time pass for accounts that wait to be tried."""
    with transaction(engine) as session:
        session.execute(text("UPDATE account_health SET probe_at = probe_at - :t"), {"t": timedelta(seconds=seconds)})


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (LOGIN, ("login_required", "login_required")),
        (FORBIDDEN, ("login_required", "forbidden")),
        (UNAUTHORIZED, ("login_required", "token_refused")),
        (BUSY, ("paused", "too_many_requests")),
        (BROKEN, ("paused", "cobalt_error")),
    ],
    ids=["login required", "forbidden", "unauthorized", "busy", "broken"],
)
def test_the_first_refusal_holds_all_that_waits_for_the_account_in_every_worker(
    engine: Engine, fake: AnsweringCobalt, workers: list[Worker], said: Answer, known: tuple[str, str]
) -> None:
    fake.answer = always(said)
    ask(engine)
    assert run(workers[0]) == 1
    assert health(engine) == known
    waiting = [ask(engine) for _ in range(20)]

    assert [run(worker) for worker in workers] == [0, 0]

    assert len(fake.calls) == 1
    assert {row(engine, one)["tries"] for one in waiting} == {0}
    assert {one["status"] for one in rows(engine, "appointments")} == {"processing"}


def test_one_call_a_minute_tries_for_all_workers_together_and_it_is_the_oldest_that_waits(
    engine: Engine, fake: AnsweringCobalt, workers: list[Worker]
) -> None:
    fake.answer = always(LOGIN)
    oldest = ask(engine)
    run(workers[0])
    for _ in range(5):
        ask(engine)

    for minute in range(1, 11):
        pass_time(engine, 59)
        assert [run(worker) for worker in workers] == [0, 0]
        pass_time(engine, 1.1)
        assert sum(run(worker) for worker in (*workers, *workers)) == 1
        assert len(fake.calls) == 1 + minute

    assert row(engine, oldest)["tries"] == 11
    assert {one["status"] for one in rows(engine, "appointments")} == {"processing"}


def test_two_workers_at_the_same_moment_make_one_try(
    engine: Engine, fake: AnsweringCobalt, workers: list[Worker]
) -> None:
    fake.answer = always(LOGIN)
    for _ in range(3):
        ask(engine)
    run(workers[0])
    calls = len(fake.calls)
    for _ in range(10):
        pass_time(engine, 60)
        started = [worker.submitter.run_once() for worker in workers]
        for worker, counts in zip(workers, started, strict=True):
            worker.wait_for(counts["claimed"] + counts["tried"])
        calls += 1
        assert len(fake.calls) == calls


def test_what_waited_goes_oldest_first_and_one_more_at_a_time_after_each_answer(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    fake.answer = always(LOGIN)
    ids = [ask(engine, mrn=str(number)) for number in range(40)]
    worker.run_once()  # all at once: nothing was amiss
    until(lambda: health(engine)[0] == "login_required")
    until(lambda: {one["submission"] for one in rows(engine, "appointments")} == {"queued"})
    while worker.done.acquire(blocking=False):
        pass
    fake.answer = take
    before = len(fake.calls)
    pass_time(engine, 60)

    rounds = []
    while started := run(worker):
        rounds.append(started)

    assert rounds[:4] == [1, 2, 4, 8]
    assert sum(rounds) == 40
    sent = [int(call.body["mrn"]) for call in fake.calls[before:]]
    assert [sorted(sent[first:last]) for first, last in ((0, 1), (1, 3), (3, 7), (7, 15))] == [
        [0],
        [1, 2],
        [3, 4, 5, 6],
        [7, 8, 9, 10, 11, 12, 13, 14],
    ]
    assert {row(engine, one)["submission"] for one in ids} == {"accepted"}


def test_other_accounts_are_not_slowed_down(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    fake.answer = lambda call: LOGIN if call.headers["access_token"] == "token_2" else take(call)
    add_clinic(engine, worker.settings, "clinic_2", "token_2")
    ask(engine, "clinic_2", worker.settings)
    run(worker)
    for _ in range(200):
        ask(engine, "clinic_2", worker.settings)
    healthy = [ask(engine) for _ in range(16)]

    assert run(worker) == 16

    assert {row(engine, one)["submission"] for one in healthy} == {"accepted"}


def test_where_nothing_waits_a_question_tries(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    with transaction(engine) as session:
        session.execute(
            text(
                "INSERT INTO account_health (account, health, reason, since, probe_at) VALUES"
                " (:account, 'login_required', 'login_required', now(), now())"
            ),
            {"account": ACCOUNT},
        )
    asked: list[str] = []
    fake.get = asking(asked, Answer(200, {"webhook_events": []}))

    assert worker.submitter.run_once() == {"claimed": 0, "tried": 1}
    worker.wait_for(1)

    assert asked == ["/v1/webhook-events?job_id=0&page_size=1"]
    assert health(engine) == ("healthy", None)


def test_after_an_error_of_cobalts_nothing_is_booked_to_try(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    fake.answer = always(BROKEN)
    fake.get = lambda _path: BROKEN
    doubtful = ask(engine)
    run(worker)
    waiting = ask(engine)
    for _ in range(7):
        pass_time(engine, 60)
        assert run(worker) == 1

    assert row(engine, doubtful)["submission"] == "unconfirmed"
    assert columns(row(engine, waiting), "submission", "tries") == ("queued", 0)
    fake.get = lambda _path: Answer(200, {"webhook_events": []})
    fake.answer = take
    pass_time(engine, 60)
    run(worker)
    run(worker)
    assert row(engine, waiting)["submission"] == "accepted"
    assert columns(rows(engine, "account_health")[0], "health", "slowed") == ("healthy", 0)


def test_a_retry_after_is_waited_for(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    fake.answer = always(BUSY)
    one = ask(engine)
    run(worker)
    fake.answer = take
    pass_time(engine, 29)
    assert run(worker) == 0
    pass_time(engine, 1.1)
    assert run(worker) == 1
    assert row(engine, one)["submission"] == "accepted"
    assert health(engine) == ("healthy", None)


def test_what_calls_that_were_under_way_say_afterwards_changes_nothing(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    fake.open.clear()
    for number in range(2):
        ask(engine, mrn=str(number))
    fake.answer = lambda call: LOGIN if call.body["mrn"] == "0" else take(call)
    worker.run_once()
    until(lambda: fake.in_flight == 2)
    fake.open.set()
    worker.wait_for(2)

    assert health(engine) == ("login_required", "login_required")


def test_it_is_said_once_and_not_for_each_row(
    engine: Engine, fake: AnsweringCobalt, workers: list[Worker], lines: Callable[[], list[dict[str, Any]]]
) -> None:
    fake.answer = always(LOGIN)
    for _ in range(20):
        ask(engine)
    for worker in workers:
        run(worker)
    for _ in range(3):
        pass_time(engine, 60)
        run(workers[0])
    fake.answer = take
    pass_time(engine, 60)
    while sum(run(worker) for worker in workers):
        pass

    told = [(one["level"], one["state"]) for one in lines() if one.get("account") == ACCOUNT and "state" in one]
    assert told == [("error", "login_required"), ("info", "healthy")]
    assert SECRET_WORDS not in json.dumps(lines())


def test_questions_of_a_held_account_hold_and_their_refusals_are_evidence(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    ids = [ask(engine) for _ in range(3)]
    claims = claim(engine)
    for number, one in enumerate(ids):
        answer(engine, claims[one], accepted(f"c{number}"))
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET due_at = now() - interval '1 hour'"))
        session.execute(
            text("UPDATE appointments SET due_at = now() + interval '1 hour' WHERE id <> :id"), {"id": ids[0]}
        )
    asked: list[str] = []
    fake.get = asking(asked, LOGIN)

    def look() -> int:
        asker = Asker(engine, worker.settings, worker.client)
        counts = asker.run_once()
        asker.finish()
        return counts["asked"]

    assert look() == 1
    assert health(engine) == ("login_required", "login_required")
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET due_at = now() - interval '1 hour'"))
    assert look() == 0
    assert len(asked) == 1
    fake.get = asking(asked, Answer(200, {"webhook_events": [], "appointments": []}))
    pass_time(engine, 60)
    assert run(worker) == 1
    assert look() == 3


def test_the_events_of_a_held_account_are_not_fetched_and_their_refusal_is_evidence(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    asked: list[str] = []
    fake.get = asking(asked, LOGIN)

    def sweep() -> int:
        asker = Asker(engine, worker.settings, worker.client)
        counts = asker.sweeper.run_once()
        asker.finish()
        return counts["started"]

    assert sweep() == 1
    assert health(engine) == ("login_required", "login_required")
    assert sweep() == 0
    assert len(asked) == 1


def told(kind: str, event_id: str, reference: str = ACCOUNT, at: datetime | None = None, **data: Any) -> bytes:
    body = json.loads(event(event_id, f"access_token.{kind}", {"message": SECRET_WORDS} | data))
    at = at or datetime.now(UTC)
    return json.dumps(body | {"access_token_reference_id": reference, "created": at.isoformat()}).encode()


def test_an_event_holds_the_account_and_one_call_tries_at_once(
    engine: Engine, fake: AnsweringCobalt, worker: Worker, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    fake.answer = always(LOGIN)
    for _ in range(5):
        ask(engine)

    assert deliver(engine, told("login_required", "e1", error_type="password_expired")) == [Disposition.NOTED]
    assert health(engine) == ("login_required", "password_expired")

    assert run(worker) == 1
    assert deliver(engine, told("login_required", "e1", error_type="password_expired")) == [Disposition.DUPLICATE]
    assert deliver(engine, told("login_required", "e2")) == [Disposition.NOTED]
    assert run(worker) == 0
    assert health(engine) == ("login_required", "password_expired")
    assert [one["disposition"] for one in rows(engine, "events")] == ["noted", "noted"]
    assert SECRET_WORDS not in json.dumps(lines())


def test_an_old_event_changes_nothing_any_more(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    fake.answer = always(LOGIN)
    ask(engine)
    run(worker)
    fake.answer = take
    pass_time(engine, 60)
    run(worker)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)

    assert deliver(engine, told("login_required", "e1", at=an_hour_ago)) == [Disposition.SUPERSEDED]

    assert health(engine) == ("healthy", None)


def test_an_event_of_an_account_that_is_not_ours_is_ignored(engine: Engine) -> None:
    ask(engine)
    assert deliver(engine, told("login_required", "e1", "somebody")) == [Disposition.IGNORED]
    assert rows(engine, "account_health") == []


def test_an_event_of_a_link_that_was_replaced_says_nothing_of_the_new_one(engine: Engine, worker: Worker) -> None:
    add_clinic(engine, worker.settings, "clinic_2", "token_2")
    with transaction(engine) as session:
        remove_account(session, "clinic_2")
        add_account(session, worker.settings, name="clinic_2", reference="new", access_token="token_3")

    assert deliver(engine, told("login_required", "e1", "user_clinic_2")) == [Disposition.IGNORED]
    assert deliver(engine, told("login_required", "e2", "new")) == [Disposition.NOTED]
    assert health(engine, "clinic_2") == ("login_required", "login_required")


def test_a_warning_is_shown_and_holds_nothing(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    ask(engine)
    assert deliver(engine, told("password_change_warning", "e1")) == [Disposition.NOTED]
    assert health(engine) == ("healthy", "password_change_due")
    assert run(worker) == 1
    assert len(fake.calls) == 1


def test_events_about_accounts_and_appointments_share_a_batch(engine: Engine) -> None:
    one = ask(engine)
    answer(engine, claim(engine)[one], accepted("c1"))
    found = deliver(engine, told("login_required", "e1"), created("e2", "c1"), told("login_required", "e1"))
    assert found == [Disposition.NOTED, Disposition.APPLIED, Disposition.DUPLICATE]
    assert row(engine, one)["status"] == "created"


def test_a_new_token_has_the_account_tried_at_once(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    fake.answer = lambda call: LOGIN if call.headers["access_token"] == "token_2" else take(call)
    add_clinic(engine, worker.settings, "clinic_2", "token_2")
    one = ask(engine, "clinic_2", worker.settings)
    run(worker)
    assert run(worker) == 0

    with transaction(engine) as session:
        remove_account(session, "clinic_2")
        add_account(session, worker.settings, name="clinic_2", reference="new", access_token="token_3")

    assert run(worker) == 1
    assert row(engine, one)["submission"] == "accepted"
    assert health(engine, "clinic_2") == ("healthy", None)


def test_a_person_holds_an_account_and_lets_it_go(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    ids = [ask(engine) for _ in range(20)]
    hold_account(engine, worker.settings, ACCOUNT, Hold("ann", "moves to another EHR"))
    assert health(engine) == ("held", "held_by_a_person")
    assert run(worker) == 0

    resume_account(engine, worker.settings, ACCOUNT)
    assert run(worker) == 1
    while run(worker):
        pass

    assert {row(engine, one)["submission"] for one in ids} == {"accepted"}
    assert health(engine) == ("healthy", None)
    assert columns(rows(engine, "account_health")[0], "held_by", "held_why") == (None, None)
    assert len(fake.calls) == 20


def test_only_accounts_of_ours_can_be_held(engine: Engine, worker: Worker) -> None:
    with pytest.raises(NotFoundError):
        hold_account(engine, worker.settings, "nobody", Hold("ann"))
    with pytest.raises(NotFoundError):
        resume_account(engine, worker.settings, "nobody")
    with pytest.raises(ConflictError):
        resume_account(engine, worker.settings, ACCOUNT)
