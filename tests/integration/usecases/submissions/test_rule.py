"""The rule of submissions at PostgreSQL: late replies and events end where the table says, and leave nothing behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from service.cobalt import NeverLeft, Rejected, Unclear
from service.postgres.engine import transaction
from service.postgres.queries import asking
from service.usecases.events.early_failures import take_early_failures
from service.usecases.submissions.adopt import give_up
from tests.records import (
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
    open_engine,
    row,
    submit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from service.cobalt import Reply
    from service.postgres.queries.asking import Question
    from service.postgres.queries.submissions import Claim

NOT_SENT = NeverLeft("ConnectError")
NOW_IN_MINUTES = (datetime.now(UTC) - datetime(2025, 1, 1, 12, tzinfo=UTC)) / timedelta(minutes=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with open_engine(database_url) as engine:
        yield engine


def correcting(engine: Engine, cobalt_id: str = "1") -> tuple[str, Claim]:
    """Have Cobalt take an appointment and fail it; returns it, and the call of its correction, which is under way."""
    [one] = submit(engine, cobalt_id)
    deliver(engine, failed("evt_first", cobalt_id, 1))
    begin_correction(engine, one)
    return one, claim(engine)[one]


def question_about(engine: Engine, appointment_id: str) -> Question:
    """Ask as the worker does."""
    with transaction(engine) as session:
        asked = asking.open_questions(session, since=datetime(2025, 1, 1, tzinfo=UTC))
    return next(question for question in asked if question.appointment_id == appointment_id)


def test_what_was_given_up_is_not_queued_by_a_late_word_that_it_was_never_sent(engine: Engine) -> None:
    one = ask(engine)
    call = claim(engine)[one]
    answer(engine, call, Unclear("ReadTimeout"))
    assert give_up(engine, question_about(engine, one))

    assert answer(engine, call, NOT_SENT) == "stale"

    assert columns(row(engine, one), "status", "submission") == ("failed", "unconfirmed")
    begin_correction(engine, one)  # it is a person's, who was told to look into the EHR
    assert columns(row(engine, one), "status", "submission") == ("processing", "queued")


def test_a_correction_that_turns_out_late_not_to_have_left_has_not_begun(engine: Engine) -> None:
    one, call = correcting(engine)
    expire_now(engine)
    assert answer(engine, call, NOT_SENT) == "queued"

    deliver(engine, failed("evt_second", "1", NOW_IN_MINUTES + 1))  # of the attempt before: no other was sent

    assert columns(row(engine, one), "status", "submission") == ("processing", "queued")
    assert dispositions(engine)["evt_second"] == "unmatched"
    again = claim(engine, now=datetime.now(UTC) + timedelta(hours=1))[one]
    answer(engine, again, accepted("1"))
    deliver(engine, created("evt_third", "1", NOW_IN_MINUTES + 60))
    assert columns(row(engine, one), "status", "submission") == ("created", "accepted")
    assert dispositions(engine)["evt_second"] != "unmatched"


@pytest.mark.parametrize(
    ("reply", "ends"),
    [
        (NOT_SENT, "accepted"),
        (Rejected(409, "it is booked", datetime.now(UTC)), "rejected"),
        (Unclear("ReadTimeout"), "unconfirmed"),
        (accepted("1"), "accepted"),
    ],
    ids=["not sent", "rejected", "unclear", "accepted"],
)
def test_a_failure_that_waits_for_a_correction_is_placed_though_it_is_booked_meanwhile(
    engine: Engine, reply: Reply, ends: str
) -> None:
    one, call = correcting(engine)
    deliver(engine, failed("evt_second", "1", 2))
    deliver(engine, created("evt_third", "1", 3))
    assert columns(row(engine, one), "status", "submission") == ("created", "sending")
    assert dispositions(engine)["evt_second"] == "unmatched"

    assert answer(engine, call, reply) == ends

    assert columns(row(engine, one), "status", "submission") == ("created", ends)
    assert dispositions(engine)["evt_second"] == "superseded"
    with transaction(engine) as session:
        assert asking.find_overlooked(session) == []


def test_an_early_failure_is_not_taken_for_a_correction_that_waits_to_be_sent(engine: Engine) -> None:
    one, call = correcting(engine)
    expire_now(engine)
    deliver(engine, failed("evt_second", "1", 2))
    question = question_about(engine, one)
    assert answer(engine, call, NOT_SENT) == "queued"

    assert not take_early_failures(engine, question)

    assert columns(row(engine, one), "status", "submission") == ("processing", "queued")
