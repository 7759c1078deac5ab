"""Submitting: what each reply, and each silence, makes of the row; and how many calls there are at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet
from psycopg import sql
from sqlalchemy import event as engine_event
from sqlalchemy import text

from service.cobalt import Cobalt, NeverLeft, Rejected, Throttled, Unauthorized, Unclear
from service.errors import DatabaseFaultError
from service.postgres.engine import transaction
from service.postgres.sessions import connect
from service.usecases.access.accounts import add_account
from service.usecases.submissions.submit import Submitter, expire_leases
from tests.answering_cobalt import Answer, AnsweringCobalt, Call, take
from tests.records import (
    FIELDS,
    NOON,
    SETTINGS,
    accepted,
    answer,
    ask,
    begin_correction,
    claim,
    columns,
    created,
    deliver,
    dispositions,
    expire_now,
    failed,
    row,
    rows,
    submit,
    until,
)
from tests.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from service.cobalt import Reply
    from service.config import Settings

KEY = Fernet.generate_key().decode()
TOMORROW = timedelta(days=1)


@pytest.fixture
def fake() -> Iterator[AnsweringCobalt]:
    with AnsweringCobalt() as fake:
        yield fake


class Worker:
    """A submitter and its client, as the worker's loop holds them."""

    def __init__(self, engine: Engine, fake: AnsweringCobalt, **environment: str) -> None:
        self.settings = settings_from(
            COBALT_BASE_URL=fake.url,
            COBALT_ACCOUNT="clinic_1",
            COBALT_ACCESS_TOKEN="token_1",
            ENCRYPTION_KEYS=KEY,
            **environment,
        )
        self.engine = engine
        self.client = Cobalt(self.settings)
        self.done = threading.Semaphore(0)
        self.submitter = Submitter(engine, self.settings, self.client, on_done=self.done.release)

    def run_once(self) -> int:
        """Start what is due; returns how many calls that is."""
        return self.submitter.run_once()["claimed"]

    def run_to_the_end(self) -> int:
        """Run once and wait until the calls are answered and recorded; returns how many they were."""
        claimed = self.run_once()
        self.wait_for(claimed)
        return claimed

    def wait_for(self, calls: int) -> None:
        for _ in range(calls):
            assert self.done.acquire(timeout=10)

    def close(self) -> None:
        self.submitter.finish()
        self.client.__exit__(None, None, None)


@pytest.fixture
def worker(engine: Engine, fake: AnsweringCobalt) -> Iterator[Worker]:
    worker = Worker(engine, fake)
    yield worker
    fake.open.set()
    worker.close()


# reply -> submission, status, last_error; then of the call: outcome, http_status, error; then seconds until due
REPLIES: list[tuple[Reply, tuple[object, ...], tuple[object, ...], tuple[float, float]]] = [
    (accepted("1", "7"), ("accepted", "processing", None), ("accepted", 200, None), (150, 165)),
    (
        NeverLeft("ConnectError"),
        ("queued", "processing", "ConnectError"),
        ("never_left", None, "ConnectError"),
        (0.25, 0.75),
    ),
    (
        Throttled(timedelta(seconds=7)),
        ("queued", "processing", "HTTP 429"),
        ("throttled", 429, None),
        (-60, 0),  # back to its place: it is the account that waits
    ),
    (Unauthorized(401), ("queued", "processing", "HTTP 401"), ("unauthorized", 401, None), (-60, 0)),
    (Unauthorized(403), ("queued", "processing", "HTTP 403"), ("unauthorized", 403, None), (-60, 0)),
    (Unclear("ReadTimeout"), ("unconfirmed", "processing", "ReadTimeout"), ("unclear", None, "ReadTimeout"), (0, 0)),
    (Unclear("HTTP 502", 502), ("unconfirmed", "processing", "HTTP 502"), ("unclear", 502, "HTTP 502"), (0, 0)),
    (
        Rejected(422, "mrn is required", NOON),
        ("rejected", "failed", "HTTP 422"),
        ("rejected", 422, "mrn is required"),
        (0, 1e9),
    ),
]


@pytest.mark.parametrize(
    ("reply", "ends", "written", "due"), REPLIES, ids=[type(one[0]).__name__ + str(i) for i, one in enumerate(REPLIES)]
)
def test_each_reply_makes_of_the_row_and_of_the_call_what_is_declared(
    engine: Engine,
    reply: Reply,
    ends: tuple[object, ...],
    written: tuple[object, ...],
    due: tuple[float, float],
) -> None:
    asked = ask(engine)
    call = claim(engine)[asked]
    assert columns(row(engine, asked), "submission", "status", "tries") == ("sending", "processing", 1)
    before = datetime.now(UTC)

    assert answer(engine, call, reply) == ends[0]

    found = row(engine, asked)
    assert columns(found, "submission", "status", "last_error") == ends
    assert found["lease_until"] is None
    least, most = (timedelta(seconds=seconds) for seconds in due)
    assert before + least <= found["due_at"] <= datetime.now(UTC) + most
    [kept] = rows(engine, "submissions")
    assert columns(kept, "appointment_id", "attempt", "try", "operation") == (asked, 1, 1, "create")
    assert columns(kept, "outcome", "http_status", "error") == written
    assert kept["began_at"] <= kept["ended_at"]


def test_what_was_accepted_keeps_cobalts_ids_and_when(engine: Engine) -> None:
    asked = ask(engine)

    answer(engine, claim(engine)[asked], accepted("1", "7"))

    found = row(engine, asked)
    assert columns(found, "cobalt_appointment_id", "cobalt_job_id", "last_error") == ("1", "7", None)
    assert found["accepted_at"] is not None


def test_what_was_rejected_fails_in_cobalts_words(engine: Engine) -> None:
    asked = ask(engine)

    answer(engine, claim(engine)[asked], Rejected(422, "mrn is required", NOON))

    found = row(engine, asked)
    assert columns(found, "failure_category", "ruling_event_id", "ruling_at") == ("rejected_by_cobalt", None, NOON)
    assert found["failure"] == {
        "reason": "mrn is required",
        "details": {},
        "occurred_at": "2025-01-01T12:00:00+00:00",
        "mrn": None,
    }


def test_what_may_be_sent_again_is_claimed_again_when_it_is_due_and_not_before(engine: Engine) -> None:
    asked = ask(engine)
    answer(engine, claim(engine)[asked], NeverLeft("ConnectError"))

    assert claim(engine) == {}
    again = claim(engine, now=datetime.now(UTC) + timedelta(seconds=8))[asked]

    assert (again.tries, again.attempt, again.operation) == (2, 1, "create")
    answer(engine, again, accepted("1"))
    assert [columns(one, "try", "outcome") for one in rows(engine, "submissions")] == [
        (1, "never_left"),
        (2, "accepted"),
    ]


@pytest.mark.parametrize("reply", [Unclear("ReadTimeout"), Rejected(422, "no", NOON), accepted("1")])
def test_what_may_have_been_taken_or_never_will_be_is_not_sent_again(engine: Engine, reply: Reply) -> None:
    asked = ask(engine)
    answer(engine, claim(engine)[asked], reply)

    assert claim(engine, now=datetime.now(UTC) + TOMORROW) == {}


def test_a_call_whose_worker_was_lost_is_unconfirmed_after_its_lease_and_never_made_again(engine: Engine) -> None:
    asked = ask(engine)
    claim(engine)
    assert expire_leases(engine) == {"expired": 0}

    assert expire_now(engine) == 1

    found = row(engine, asked)
    assert columns(found, "submission", "status", "lease_until") == ("unconfirmed", "processing", None)
    assert found["last_error"] == "the worker was lost during the call"
    assert claim(engine, now=datetime.now(UTC) + TOMORROW) == {}
    [kept] = rows(engine, "submissions")
    assert columns(kept, "ended_at", "outcome") == (None, "lost")
    assert expire_leases(engine) == {"expired": 0}


def test_a_reply_that_comes_after_the_lease_still_counts(engine: Engine) -> None:
    asked = ask(engine)
    call = claim(engine)[asked]
    expire_now(engine)
    deliver(engine, created("evt_1", "1"))

    assert answer(engine, call, accepted("1")) == "accepted"

    assert columns(row(engine, asked), "submission", "status", "last_error") == ("accepted", "created", None)
    assert dispositions(engine) == {"evt_1": "applied"}


def test_a_call_that_turns_out_late_not_to_have_left_is_made_again(engine: Engine) -> None:
    asked = ask(engine)
    call = claim(engine)[asked]
    expire_now(engine)

    assert answer(engine, call, NeverLeft("ConnectTimeout")) == "queued"

    assert asked in claim(engine, now=datetime.now(UTC) + TOMORROW)


def test_a_reply_to_an_earlier_call_changes_nothing(engine: Engine) -> None:
    asked = ask(engine)
    first = claim(engine)[asked]
    answer(engine, first, NeverLeft("ConnectError"))
    before = row(engine, asked)
    assert answer(engine, first, Unclear("ReadTimeout")) == "stale"
    assert row(engine, asked) == before

    second = claim(engine, now=datetime.now(UTC) + TOMORROW)[asked]
    before = row(engine, asked)
    assert answer(engine, first, accepted("1")) == "stale"
    assert row(engine, asked) == before

    assert answer(engine, second, accepted("2")) == "accepted"
    before = row(engine, asked)
    assert answer(engine, second, accepted("2")) == "stale"
    assert row(engine, asked) == before


def test_a_reply_with_the_id_of_another_appointment_is_unconfirmed(engine: Engine) -> None:
    [one] = submit(engine, "1")
    other = ask(engine)

    assert answer(engine, claim(engine)[other], accepted("1")) == "unconfirmed"

    assert row(engine, one)["cobalt_appointment_id"] == "1"
    assert columns(row(engine, other), "status", "cobalt_appointment_id") == ("processing", None)
    deliver(engine, created("evt_1", "1"))
    assert columns(row(engine, one), "status") == ("created",)
    assert columns(row(engine, other), "status") == ("processing",)


REFUSALS: list[Reply] = [accepted("1"), Rejected(400, "no", NOON + timedelta(minutes=9)), Unclear("ReadTimeout")]


@pytest.mark.parametrize("reply", REFUSALS, ids=["accepted", "rejected", "unclear"])
def test_a_failure_that_waits_for_a_correction_is_placed_by_whatever_its_reply_is(engine: Engine, reply: Reply) -> None:
    [one] = submit(engine, "1")
    deliver(engine, failed("evt_1", "1", 1))
    begin_correction(engine, one)
    call = claim(engine)[one]
    assert call.operation == "correct"
    deliver(engine, failed("evt_2", "1", 2))
    assert dispositions(engine) == {"evt_1": "superseded", "evt_2": "unmatched"}

    answer(engine, call, reply)

    assert dispositions(engine) == {"evt_1": "superseded", "evt_2": "superseded"}


def test_a_worker_submits_with_the_accounts_token_and_records_the_answer(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    asked = ask(engine, note="as it is")

    assert worker.run_to_the_end() == 1

    [call] = fake.calls
    assert (call.method, call.path, call.body) == ("POST", "/v1/appointments", FIELDS | {"note": "as it is"})
    assert call.headers["access_token"] == "token_1"
    assert columns(row(engine, asked), "submission", "cobalt_appointment_id") == ("accepted", "cobalt_1")
    assert worker.run_to_the_end() == 0


def add_clinic(engine: Engine, settings: Settings, name: str, token: str, **more: Any) -> None:
    with transaction(engine) as session:
        add_account(session, settings, name=name, reference=f"user_{name}", access_token=token, **more)


def test_each_account_is_called_with_its_own_token_and_its_own_format_of_times(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    add_clinic(engine, worker.settings, "clinic_2", "token_2", time_format="12_hour")
    add_clinic(engine, worker.settings, "clinic_3", "token_3", time_format="datetime", timezone="America/New_York")
    for name in ("clinic_1", "clinic_2", "clinic_3"):
        ask(engine, name, worker.settings)

    worker.run_to_the_end()

    sent = {call.headers["access_token"]: call.body for call in fake.calls}
    rest = {name: value for name, value in FIELDS.items() if name not in {"date", "time"}}
    assert sent == {
        "token_1": FIELDS,
        "token_2": FIELDS | {"time": "10:00 am"},
        "token_3": rest | {"datetime": "2025-01-01T10:00:00-05:00"},
    }


def test_a_stored_token_is_nowhere_in_the_table(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    add_clinic(engine, worker.settings, "clinic_2", "a-token-in-plain-words")
    with transaction(engine) as session:
        [whole] = session.execute(text("SELECT accounts::text || access_token::text FROM accounts")).scalars()
    stored = bytes(rows(engine, "accounts")[0]["access_token"])

    for plain in (b"a-token-in-plain-words", b"plain", b"a-token-in-plain-words".hex().encode()):
        assert plain not in stored
        assert plain.decode() not in whole
    ask(engine, "clinic_2", worker.settings)
    worker.run_to_the_end()
    assert fake.tokens() == ["a-token-in-plain-words"]


def test_a_token_that_cannot_be_decrypted_any_more_loses_nothing(engine: Engine, fake: AnsweringCobalt) -> None:
    settings = settings_from(ENCRYPTION_KEYS=Fernet.generate_key().decode())
    add_clinic(engine, settings, "clinic_2", "token_2")
    asked = ask(engine, "clinic_2", settings)
    worker = Worker(engine, fake)  # with another key

    worker.run_to_the_end()

    worker.close()
    assert fake.calls == []
    assert columns(row(engine, asked), "submission", "last_error") == ("queued", "SettingsError")


def refuse_clinic_2(call: Call) -> Answer:
    return Answer(401, {"success": False}) if call.headers["access_token"] == "token_2" else take(call)


def test_refused_credentials_pause_their_account_and_no_other(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    fake.answer = refuse_clinic_2
    add_clinic(engine, worker.settings, "clinic_2", "token_2")
    refused = ask(engine, "clinic_2", worker.settings)
    worker.run_to_the_end()

    left_alone, others = ask(engine, "clinic_2", worker.settings), ask(engine, "clinic_1", worker.settings)
    assert worker.run_to_the_end() == 1

    assert columns(row(engine, refused), "submission", "status", "last_error") == ("queued", "processing", "HTTP 401")
    assert columns(row(engine, left_alone), "submission", "tries") == ("queued", 0)
    assert row(engine, others)["submission"] == "accepted"
    assert fake.tokens() == ["token_2", "token_1"]


def test_an_account_that_was_throttled_is_left_alone_for_as_long_as_cobalt_says(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    fake.answer = lambda _call: Answer(429, {"success": False}, {"Retry-After": "30"})
    ask(engine)
    worker.run_to_the_end()

    waits = ask(engine)
    assert worker.run_to_the_end() == 0
    assert row(engine, waits)["submission"] == "queued"


HALF = SETTINGS.cobalt_concurrency // 2


def test_an_account_alone_has_half_of_the_calls_in_flight_which_are_at_least_eight(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    fake.open.clear()
    for _ in range(HALF + 4):
        ask(engine)

    assert worker.run_once() == HALF
    until(lambda: fake.in_flight == HALF)
    fake.open.set()
    worker.wait_for(HALF)
    assert worker.run_to_the_end() == 4

    assert fake.most_in_flight == HALF >= 8
    assert {one["submission"] for one in rows(engine, "appointments")} == {"accepted"}
    assert len(fake.calls) == HALF + 4


def test_no_more_is_claimed_than_there_is_room_for(engine: Engine, fake: AnsweringCobalt) -> None:
    fake.open.clear()
    worker = Worker(engine, fake, COBALT_CONCURRENCY="5")
    for _ in range(5):
        ask(engine)

    assert worker.run_once() == 3
    until(lambda: fake.in_flight == 3)
    assert worker.run_once() == 0
    assert sorted(one["submission"] for one in rows(engine, "appointments")) == ["queued"] * 2 + ["sending"] * 3

    fake.open.set()
    worker.wait_for(3)
    assert worker.run_to_the_end() == 2
    worker.close()
    assert fake.most_in_flight == 3


def test_an_account_whose_cobalt_hangs_does_not_keep_the_others_from_calling(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    mended, open_ = threading.Event(), threading.Event()

    def hang(call: Call) -> Answer:
        (mended if call.headers["access_token"] == "token_2" else open_).wait(60)
        return take(call)

    fake.answer = hang
    add_clinic(engine, worker.settings, "clinic_2", "token_2")
    for _ in range(100):
        ask(engine, "clinic_2", worker.settings)
    assert (worker.run_once(), worker.run_once()) == (HALF, 0)
    until(lambda: fake.in_flight == HALF)

    healthy = [ask(engine) for _ in range(20)]
    at_once = worker.run_once()
    until(lambda: fake.in_flight == HALF + at_once)
    assert at_once >= 8
    open_.set()
    worker.wait_for(at_once)
    while claimed := worker.run_once():
        worker.wait_for(claimed)

    assert {row(engine, one)["submission"] for one in healthy} == {"accepted"}
    assert fake.tokens().count("token_2") == HALF
    mended.set()


def test_a_failed_claim_takes_no_room(engine: Engine, fake: AnsweringCobalt, worker: Worker) -> None:
    with transaction(engine) as session:
        session.execute(text("ALTER TABLE appointments RENAME TO elsewhere"))
    for _ in range(3):
        with pytest.raises(DatabaseFaultError):
            worker.run_once()
    with transaction(engine) as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO appointments"))
    fake.open.clear()
    for _ in range(20):
        ask(engine)

    assert worker.run_once() == HALF


def test_finishing_waits_until_what_is_in_flight_is_recorded(
    engine: Engine, fake: AnsweringCobalt, worker: Worker
) -> None:
    fake.open.clear()
    asked = ask(engine)
    worker.run_once()
    until(lambda: fake.in_flight == 1)

    finishing = threading.Thread(target=worker.submitter.finish)
    finishing.start()
    assert finishing.is_alive()
    fake.open.set()
    finishing.join(10)

    assert row(engine, asked)["submission"] == "accepted"


def allow_connections(server_url: str, database: str, *, allowed: bool) -> None:
    """Take a database away from everybody, or give it back: PostgreSQL is away for those who use it."""
    name = sql.Identifier(database)
    with connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, sql.Literal(allowed)))
        if not allowed:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])


def test_a_reply_is_recorded_although_postgresql_was_away_when_it_came(
    engine: Engine, fake: AnsweringCobalt, worker: Worker, server_url: str
) -> None:
    fake.open.clear()
    asked = ask(engine)
    worker.run_once()
    until(lambda: fake.in_flight == 1)
    with engine.connect() as connection:
        database = connection.execute(text("SELECT current_database()")).scalar_one()
    failures: list[object] = []
    engine_event.listen(engine, "handle_error", lambda context: failures.append(context.original_exception))

    allow_connections(server_url, database, allowed=False)
    fake.open.set()
    until(lambda: failures)
    allow_connections(server_url, database, allowed=True)
    worker.wait_for(1)

    assert columns(row(engine, asked), "submission", "cobalt_appointment_id") == ("accepted", "cobalt_1")
    assert len(fake.calls) == 1
