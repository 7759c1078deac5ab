"""A thousand sets of events, in any order, repeated, eight at a time, through two instances: one outcome each."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.postgres.sessions import connect
from tests.records import until
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from service.lab.stack import Stack

SETS = 1000
AT_ONCE = 8
SEED = 2026
NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)

# Accepted, as a worker would leave them: what comes before is other tests' matter.
ACCEPTED = """
INSERT INTO appointments (id, account, attempt_since, request, mrn, provider, type, request_id,
                          cobalt_appointment_id, submission, tries, accepted_at, sent_at, due_at)
SELECT 'appt_' || i, 'clinic_1', '1970-01-01Z', '{"mrn": "1"}', '1', 'Dr. Smith', 'new', 'req_test',
       i, 'accepted', 1, now(), now(), now() + interval '1 day'
FROM generate_series(1, %s) AS i
"""
OUTCOMES = """
SELECT cobalt_appointment_id, status, ruling_event_id, failure ->> 'reason', failures,
       (SELECT array_agg(e.id ORDER BY e.id) FROM events e
        WHERE e.appointment_id = a.id AND e.disposition = 'applied'),
       (SELECT count(*) FROM events e WHERE e.appointment_id = a.id)
FROM appointments a
"""


@pytest.fixture
def stack(database_url: str) -> Iterator[Stack]:
    with running(database_url=database_url, webs=2, workers=0, env={"WEB_CONCURRENCY": "1"}) as stack:
        yield stack


def event(cobalt_id: int, number: int, dice: random.Random) -> dict[str, Any]:
    """An event of one appointment; few different times, so that ties are common."""
    data: dict[str, Any] = {"appointment_id": str(cobalt_id), "mrn": "1"}
    failed = dice.random() < 0.7
    if failed:
        data["failure_reason"] = f"reason {cobalt_id}-{number}"
    at = NOON + timedelta(seconds=dice.randrange(3))
    return {
        "id": f"evt_{cobalt_id:04}_{dice.randrange(10**6):06}_{number}",
        "object": "event",
        "created": at.isoformat().replace("+00:00", "Z"),
        "type": "appointment.failed" if failed else "appointment.created",
        "data": data,
    }


def expected(events: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    """Say what a set must end as, in the words of the design and not of the code."""
    created = sorted((one["created"], one["id"]) for one in events if one["type"] == "appointment.created")
    failed = sorted((one["created"], one["id"]) for one in events if one["type"] == "appointment.failed")
    ruling = created[0][1] if created else failed[-1][1]
    reason = None if created else next(one["data"]["failure_reason"] for one in events if one["id"] == ruling)
    return ("created" if created else "failed", ruling, reason, len(failed), [ruling], len(events))


def test_any_order_through_two_instances_gives_one_outcome_each(stack: Stack) -> None:
    dice = random.Random(SEED)  # noqa: S311 (repeatable, guards nothing)
    with connect(stack.database_url, autocommit=True) as database:
        database.execute(ACCEPTED, [SETS])
        sets = {
            cobalt_id: [event(cobalt_id, number, dice) for number in range(dice.randint(1, 4))]
            for cobalt_id in range(1, SETS + 1)
        }
        deliveries = [one for events in sets.values() for one in events for _ in range(dice.randint(1, 2))]
        dice.shuffle(deliveries)

        answered = send_all(stack, deliveries, dice)

        assert set(answered) <= {(200, "applied"), (200, "superseded"), (200, "duplicate"), (202, "spooled")}
        assert answered.count((200, "duplicate")) > SETS / 2
        wanted = sum(map(len, sets.values()))
        until(lambda: database.execute("SELECT count(*) FROM events").fetchone() == (wanted,))
        outcomes = {int(row[0]): row[1:] for row in database.execute(OUTCOMES)}
    assert outcomes == {cobalt_id: expected(events) for cobalt_id, events in sets.items()}


def send_all(stack: Stack, deliveries: Sequence[dict[str, Any]], dice: random.Random) -> list[tuple[int, str]]:
    """Send signed webhooks, eight at a time, each to either instance."""
    targets = [dice.choice(stack.web_urls) for _ in deliveries]
    with httpx.Client(timeout=5, trust_env=False) as client, ThreadPoolExecutor(AT_ONCE) as senders:

        def send(one: dict[str, Any], url: str) -> tuple[int, str]:
            body = json.dumps(one, separators=(",", ":")).encode()
            signature = hmac.new(stack.webhook_secret.encode(), body, hashlib.sha256).hexdigest()
            answer = client.post(f"{url}/webhooks/cobalt", content=body, headers={"cobalt-verification": signature})
            return answer.status_code, answer.json()["disposition"]

        return list(senders.map(send, deliveries, targets))
