"""A web process is killed in the middle of a batch of webhooks: what was answered is kept, the rest may come again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from service.postgres.sessions import connect
from tests.e2e.webhook_sender import Sender
from tests.records import created, dispositions, open_engine, rows, submit, until
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

TOGETHER = 24
ROUNDS = 3

# What holds a batch up, until the web process is dead: when it locks its appointments, and when it writes.
LOCKED = "UPDATE appointments SET version = version WHERE cobalt_appointment_id = %(cobalt_id)s"
WRITTEN = """
INSERT INTO events (id, type, disposition, occurred_at, received_at, source, payload)
VALUES (%(event_id)s, 'x', 'ignored', now(), now(), 'webhook', '{}')
"""
HELD_UP = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def stack(database_url: str) -> Iterator[Stack]:
    with running(database_url=database_url, workers=0, env={"WEBHOOK_BUDGET": "4.5"}) as stack:
        yield stack


@pytest.mark.parametrize("statement", [LOCKED, WRITTEN], ids=["while it locks", "while it writes"])
def test_a_batch_that_is_killed_is_there_whole_or_not_at_all_and_may_come_again(stack: Stack, statement: str) -> None:
    web, sent, unanswered = stack.webs[0], 0, 0
    with open_engine(stack.database_url) as engine, connect(stack.database_url) as control:
        for number in range(ROUNDS):
            ids = [f"{number}{one:03}" for one in range(TOGETHER)]
            submit(engine, *ids)
            events = [created(f"evt_{one}", one) for one in ids]
            control.execute(statement, {"cobalt_id": ids[7], "event_id": f"evt_{ids[7]}"})
            with Sender(stack.url, stack.webhook_secret) as sender, ThreadPoolExecutor(TOGETHER) as pool:
                first = [pool.submit(sender.send, one) for one in events]
                until(lambda: _held_up(stack.database_url))
                web.kill()
                control.rollback()
            answered = {f"evt_{one}" for one, answer in zip(ids, first, strict=True) if answer.result().status == 200}
            unanswered += TOGETHER - len(answered)
            until(lambda: not _held_up(stack.database_url))
            assert answered <= dispositions(engine).keys()

            web.start()
            web.wait_ready(f"{stack.url}/readyz/webhooks")
            with Sender(stack.url, stack.webhook_secret) as sender:
                second = [sender.send(one) for one in events]
            assert {answer.status for answer in second} == {200}
            sent += TOGETHER
            assert list(dispositions(engine).values()) == ["applied"] * sent
        assert {row["status"] for row in rows(engine, "appointments")} == {"created"}
    assert unanswered > ROUNDS  # more than a lone event was under way each time


def _held_up(database_url: str) -> int:
    with connect(database_url, autocommit=True) as connection:
        row = connection.execute(HELD_UP).fetchone()
    assert row is not None
    return int(row[0])
