"""PostgreSQL goes away for ten seconds while webhooks come: each is taken in time, and applied when it is back."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from service.postgres.sessions import connect
from tests.e2e.webhook_sender import Sender, Stream
from tests.records import created, failed, open_engine, submit, until
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.lab.postgres import EmbeddedPostgres
    from service.lab.stack import Stack

EVERY = 0.05  # seconds between two: 20 a second
OUTAGE = 10.0  # seconds
EVENTS = 400  # more than come in so long


@pytest.fixture(scope="module")
def away() -> Iterator[Stack]:
    """A stack of its own, whose database may go away; without workers, which nobody needs here."""
    with running(workers=0, postgres_settings={"fsync": "off"}) as stack:
        yield stack


def kill(postgres: EmbeddedPostgres) -> None:
    postgres.kill()


def start(postgres: EmbeddedPostgres) -> None:
    postgres.start()


def freeze(postgres: EmbeddedPostgres) -> None:
    postgres.freeze()


def thaw(postgres: EmbeddedPostgres) -> None:
    postgres.thaw()


@pytest.mark.parametrize(("go_away", "come_back"), [(kill, start), (freeze, thaw)], ids=["killed", "frozen"])
def test_every_event_is_taken_within_two_seconds_and_applied_within_ten_of_the_return(
    away: Stack,
    go_away: Callable[[EmbeddedPostgres], None],
    come_back: Callable[[EmbeddedPostgres], None],
) -> None:
    assert away.postgres is not None
    name = go_away.__name__
    ids = [f"{name}_{number}" for number in range(EVENTS)]
    _submit_all(away.database_url, ids)
    bodies = [(created if number % 2 else failed)(f"evt_{one}", one) for number, one in enumerate(ids)]

    with Sender(away.url, away.webhook_secret) as sender, Stream(sender, bodies, every=EVERY) as stream:
        until(lambda: len(stream.answers) >= 10)
        go_away(away.postgres)
        went = time.monotonic()
        threading.Event().wait(OUTAGE)  # the outage itself takes so long
        come_back(away.postgres)
        back = time.monotonic()
        sent_before_return = len(stream.sent)
        until(lambda: len(stream.answers) >= sent_before_return + 20)
    sent = {json.loads(body)["id"] for body in stream.sent}
    until(lambda: _applied(away.database_url) >= sent, seconds=10 - (time.monotonic() - back))
    applied_after = time.monotonic() - back

    slowest = max(answer.seconds for answer in stream.answers)
    sys.stdout.write(f"slowest answer {slowest:.2f} s, all applied {applied_after:.2f} s after the return\n")
    assert back - went >= OUTAGE
    assert {answer.status for answer in stream.answers} <= {200, 202}, stream.answers
    assert slowest < 2
    assert len(stream.answers) == len(stream.sent) > 200
    spooled = [answer for answer in stream.answers if answer.disposition == "spooled"]
    assert len(spooled) > 150
    # Whoever finds the outage out waits; the others are told.
    assert sum(answer.seconds > 0.5 for answer in spooled) < 100
    assert stream.answers[-1].disposition == "applied"


def _submit_all(database_url: str, ids: list[str]) -> None:
    """Make one, and the others after its pattern: one by one takes longer than the outage."""
    pattern = f"pattern_{ids[0]}"
    with open_engine(database_url) as engine:
        submit(engine, pattern)
    with connect(database_url) as connection:
        connection.execute(
            """INSERT INTO appointments
               SELECT made.* FROM appointments AS pattern, unnest(%s::text[]) AS cobalt_id,
                 jsonb_populate_record(pattern, jsonb_build_object(
                   'id', 'appt_' || cobalt_id, 'cobalt_appointment_id', cobalt_id)) AS made
               WHERE pattern.cobalt_appointment_id = %s""",
            [ids, pattern],
        )


def _applied(database_url: str) -> set[str]:
    with connect(database_url) as connection:
        found = connection.execute("SELECT id FROM events WHERE disposition = 'applied'").fetchall()
    return {event_id for (event_id,) in found}
