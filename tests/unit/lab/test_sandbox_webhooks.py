"""Cobalt's patience with a receiver that hangs or is away."""

import socket
import threading

import pytest

from service.lab.sandbox import webhooks
from service.lab.sandbox.events import Event, new_event
from service.lab.sandbox.timers import Timers
from service.lab.sandbox.webhooks import DELIVERY_TIMEOUTS, Webhooks


@pytest.fixture
def event() -> Event:
    return new_event(account="a", kind="appointment.created", data={}, job_id=1, created="", later=False, lost=False)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DELIVERY_TIMEOUTS, 1, 0.1)
    monkeypatch.setattr(webhooks, "RETRY_AFTER", 0)


def sent(event: Event, url: str) -> list[tuple[int, str | None]]:
    """The attempts made and how each ended."""
    sender = Webhooks(Timers(1), "secret", (url,))
    sender.send(event)
    for _ in range(1_000):
        if sender.pending == 0:
            break
        threading.Event().wait(0.01)
    return [(one.attempt, one.error) for one in sender.deliveries]


def test_a_receiver_that_hangs_gets_no_second_try(event: Event) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}/"
        assert sent(event, url) == [(1, "timeout")]


def test_a_receiver_that_is_away_gets_a_second_try(event: Event) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/"
    assert sent(event, url) == [(1, "ConnectError"), (2, "ConnectError")]
