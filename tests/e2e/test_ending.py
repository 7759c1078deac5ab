"""SIGTERM: what is in flight is finished, and nothing else is waited for."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.records import open_engine, submit
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack


@pytest.fixture
def stack(database_url: str) -> Iterator[Stack]:
    with running(database_url=database_url, workers=0) as stack:
        yield stack


def test_a_restart_answers_who_waits_and_does_not_wait_for_idle_connections(stack: Stack) -> None:
    host, port = stack.url.removeprefix("http://").split(":")
    with open_engine(stack.database_url) as engine:
        [one] = submit(engine, "1")
    answers: list[Any] = []

    def wait() -> None:
        headers = {"Authorization": f"Bearer {stack.api_key}", "Prefer": "wait=25"}
        answers.append(httpx.get(f"{stack.url}/v1/appointments/{one}", headers=headers, timeout=20, trust_env=False))

    address = (host, int(port))
    with socket.create_connection(address) as idle, socket.create_connection(address) as silent:
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(1)  # it waits by now, and would be answered much later
        silent.sendall(b"GET /livez HTT")
        began = time.monotonic()
        stack.webs[0].terminate()
        took = time.monotonic() - began
        waiting.join()
    assert answers[0].status_code == 200
    assert answers[0].json()["status"] == "processing"
    assert took < 6
