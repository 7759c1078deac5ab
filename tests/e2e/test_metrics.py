"""The metrics of several processes: together, across the death of one, and the worker's own."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.lab.demo import APPOINTMENT
from service.lab.processes import NO_TLS, free_port
from tests.e2e.webhook_sender import Sender
from tests.records import until
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

REQUESTS = 40
WEBHOOKS = 30


@pytest.fixture
def measured(database_url: str) -> Iterator[tuple[Stack, str]]:
    """A stack of two web processes and a worker that shows its metrics; and where."""
    port = free_port()
    env = {"METRICS_PORT": str(port), "WEB_CONCURRENCY": "2"}
    with running(database_url=database_url, sandbox_options=["--delay", "0.1"], env=env) as stack:
        yield stack, f"http://127.0.0.1:{port}"


def get(url: str, key: str | None = None) -> httpx.Response:
    """Ask on a connection of its own."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.get(url, headers=headers, trust_env=False, verify=NO_TLS, timeout=5)


def values(url: str) -> dict[str, float]:
    """Name -> value, summed over all labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(get(f"{url}/metrics").text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def directory_of(stack: Stack) -> Path:
    (found,) = Path(tempfile.gettempdir()).glob(f"cobalt-appointments-metrics-*-{stack.webs[0].pid}")
    return found


def test_all_processes_count_together_and_no_death_takes_anything_back(measured: tuple[Stack, str]) -> None:
    stack, worker_url = measured
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    asked = httpx.post(f"{stack.url}/v1/appointments", json=APPOINTMENT, headers=headers, trust_env=False).json()
    for _ in range(REQUESTS):  # so many that both processes get some
        assert get(f"{stack.url}/v1/quarantine", stack.api_key).status_code == 200
    for number in range(WEBHOOKS):
        with Sender(stack.url, stack.webhook_secret) as sender:
            assert sender.send(b"unreadable %d" % number).status == 202

    def taken() -> float:
        return values(stack.url)["appointments_webhook_deliveries_total"]

    until(lambda: taken() >= WEBHOOKS)
    for _ in range(10):
        now = values(stack.url)
        assert now["appointments_http_requests_total"] > REQUESTS
        assert now["appointments_webhook_seconds_count"] == now["appointments_webhook_deliveries_total"] >= WEBHOOKS
    directory = directory_of(stack)
    served = {int(path.stem.rpartition("_")[2]) for path in directory.glob("counter_*.db")}
    children = psutil.Process(stack.webs[0].pid).children()
    assert len(served & {child.pid for child in children}) == 2
    limit = now["appointments_database_connections_limit"]

    before = values(stack.url)
    victim = children[0].pid
    os.kill(victim, signal.SIGKILL)
    until(lambda: not list(directory.glob(f"*_{victim}.db")))
    until(lambda: len(psutil.Process(stack.webs[0].pid).children()) == 2)
    after = values(stack.url)
    for name in ("appointments_http_requests_total", "appointments_webhook_deliveries_total"):
        assert after[name] >= before[name]
    assert after["appointments_webhook_seconds_count"] >= before["appointments_webhook_seconds_count"]
    until(lambda: values(stack.url)["appointments_database_connections_limit"] == limit)

    settled = f"{stack.url}/v1/appointments/{asked['id']}"
    until(lambda: get(settled, stack.api_key).json()["status"] != "processing")
    shown = values(worker_url)
    assert shown["appointments_submissions_total"] >= 1
    assert shown["appointments_cobalt_seconds_count"] >= 1

    stack.webs[0].terminate(timeout=40)
    assert not directory.exists()
