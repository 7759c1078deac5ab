"""Every webhook is lost, and the worker is away for a while: what it learns when it is back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

from tests.records import FIELDS, until
from tests.stacks import running

if TYPE_CHECKING:
    from service.lab.stack import Stack

NUMBER = 120
ENDINGS: tuple[dict[str, str], ...] = ({}, {"mrn": "000000"}, {"type": "Annual Wellness Visit"})
OPTIONS = ["--lose-webhook", "1", "--delay", "0.2"]


def sandbox_counts(stack: Stack) -> dict[str, Any]:
    address = stack.sandbox_url.removesuffix("/v1") + "/_sandbox/stats"
    found: dict[str, Any] = httpx.get(address, trust_env=False).json()
    return found


def test_a_worker_that_is_back_learns_everything_by_one_walk(database_url: str) -> None:
    quiet = {"SWEEP_INTERVAL": "3600", "ASK_AFTER": "3600"}
    with (
        running(database_url=database_url, sandbox_options=OPTIONS, env=quiet) as stack,
        httpx.Client(
            base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, trust_env=False
        ) as client,
    ):
        for n in range(NUMBER):
            client.post("/v1/appointments", json=FIELDS | ENDINGS[n % 3]).raise_for_status()
        until(lambda: sandbox_counts(stack)["webhooks_lost"] == NUMBER, 60)
        assert client.get("/v1/appointments?status=processing&limit=1").json()["data"]
        [worker] = stack.workers
        worker.kill()
        before = sandbox_counts(stack)["event_queries"]

        worker.start()
        until(lambda: not client.get("/v1/appointments?status=processing&limit=1").json()["data"], 60)

        asked = sandbox_counts(stack)["event_queries"] - before
        assert asked <= 2 * (NUMBER // 100 + 1)  # a second walk for what was left to its webhook by the first
        stats = client.get("/v1/stats").json()
        assert stats["status"] == {"processing": 0, "created": NUMBER // 3, "failed": NUMBER - NUMBER // 3}
        assert sandbox_counts(stack)["booked"] == NUMBER


def test_a_lost_webhook_is_made_up_for_when_cobalts_own_time_out_has_passed(database_url: str) -> None:
    """On a clock of a fiftieth: 150 seconds are three, and the 180 in which it must be settled are 3.6."""
    fast = {"ASK_AFTER": "3", "SWEEP_INTERVAL": "3600", "WORKER_INTERVAL": "0.05"}
    with (
        running(database_url=database_url, sandbox_options=OPTIONS, env=fast) as stack,
        httpx.Client(
            base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, trust_env=False
        ) as client,
    ):
        took = []
        for _ in range(5):
            began = time.monotonic()
            answer = client.post("/v1/appointments", json=FIELDS, headers={"Prefer": "wait=20"}, timeout=30)
            assert answer.json()["status"] == "created"
            took.append(time.monotonic() - began)
        # What a busy machine takes for processes, calls and commits is not on the scaled clock.
        assert max(took) < 3 * 1.1 + 2
