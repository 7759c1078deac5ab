"""Callers wait for a change with `Prefer: wait`, hundreds at once, and hold up nobody."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.webhook_sender import Sender
from tests.records import created, open_engine, submit, until
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from service.lab.stack import Stack

CLIENTS = 300
BODY = {
    "mrn": "123456789",
    "location": "Main Clinic",
    "date": "2030-01-15",
    "time": "10:30",
    "provider": "Dr. Smith",
    "type": "new_patient",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Without a worker: these tests submit by themselves."""
    with _running(workers=0) as stack:
        yield stack


@contextmanager
def _running(**options: Any) -> Iterator[Stack]:
    with running(env={"WEB_CONCURRENCY": "1"}, postgres_settings={"fsync": "off"}, **options) as stack:
        yield stack


@pytest.fixture(scope="module")
def engine(stack: Stack) -> Iterator[Engine]:
    with open_engine(stack.database_url) as engine:
        yield engine


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with client_of(stack) as client:
        yield client


def client_of(stack: Stack) -> httpx.Client:
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    return httpx.Client(base_url=f"{stack.url}/v1", headers=headers, timeout=40, trust_env=False)


@pytest.fixture
def later(stack: Stack) -> Iterator[Callable[[bytes], None]]:
    """Sends a webhook a little later."""
    timers: list[threading.Timer] = []
    with Sender(stack.url, stack.webhook_secret) as sender:

        def send(body: bytes) -> None:
            timers.append(threading.Timer(0.7, sender.send, [body]))
            timers[-1].start()

        yield send
        for timer in timers:
            timer.join()


def wait(seconds: int) -> dict[str, str]:
    return {"Prefer": f"respond-async, wait={seconds}"}


def timed(call: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


def test_a_read_waits_for_the_change_and_shows_it(
    client: httpx.Client, engine: Engine, later: Callable[[bytes], None]
) -> None:
    [one] = submit(engine, "wait_1")
    later(created("evt_wait_1", "wait_1"))
    answer, seconds = timed(lambda: client.get(f"/appointments/{one}", headers=wait(20)))
    assert (answer.status_code, answer.json()["status"]) == (200, "created")
    assert 0.6 < seconds < 5
    assert answer.headers["Preference-Applied"] == "wait=20"


def test_when_nothing_changes_the_answer_comes_after_the_time(client: httpx.Client, engine: Engine) -> None:
    [one] = submit(engine, "wait_2")
    answer, seconds = timed(lambda: client.get(f"/appointments/{one}", headers=wait(1)))
    assert (answer.status_code, answer.json()["status"]) == (200, "processing")
    assert 1 <= seconds < 4
    etag = {"If-None-Match": answer.headers["ETag"]}
    known, seconds = timed(lambda: client.get(f"/appointments/{one}", headers=wait(1) | etag))
    assert (known.status_code, known.content) == (304, b"")
    assert 1 <= seconds < 4


def test_what_has_changed_already_is_shown_at_once(client: httpx.Client, engine: Engine) -> None:
    [one] = submit(engine, "wait_3")
    headers = wait(20) | {"If-None-Match": '"of-long-ago"'}
    answer, seconds = timed(lambda: client.get(f"/appointments/{one}", headers=headers))
    assert (answer.status_code, seconds < 2) == (200, True)


@pytest.mark.parametrize("headers", [{}, {"Prefer": "wait=0"}, {"Prefer": "wait=soon"}, {"Prefer": "return=minimal"}])
def test_who_would_not_wait_does_not(client: httpx.Client, engine: Engine, headers: dict[str, str]) -> None:
    [one] = submit(engine, f"wait_not_{len(str(headers))}")
    answer, seconds = timed(lambda: client.get(f"/appointments/{one}", headers=headers))
    assert (answer.status_code, seconds < 2) == (200, True)
    assert "Preference-Applied" not in answer.headers


def test_errors_do_not_wait(client: httpx.Client, stack: Stack) -> None:
    missing, seconds = timed(lambda: client.get("/appointments/appt_none", headers=wait(20)))
    assert (missing.status_code, seconds < 2) == (404, True)
    url = f"{stack.url}/v1/appointments/appt_none"
    refused, seconds = timed(lambda: httpx.get(url, headers=wait(20), trust_env=False))
    assert (refused.status_code, seconds < 2) == (401, True)


def test_a_request_waits_for_its_outcome() -> None:
    key = {"Idempotency-Key": "wait-once"}
    with _running(sandbox_options=["--delay", "1.5"]) as stack, client_of(stack) as client:
        answer, seconds = timed(lambda: client.post("/appointments", json=BODY, headers=wait(25) | key))
        shown = answer.json()
        assert (answer.status_code, shown["status"]) == (202, "created")
        assert 0.5 < seconds < 15  # the sandbox spreads its delay from half to one and a half times what was asked
        assert answer.headers["Location"].endswith(shown["id"])
        again, seconds = timed(lambda: client.post("/appointments", json=BODY, headers=wait(25) | key))
        assert (again.json()["id"], again.json()["status"], seconds < 2) == (shown["id"], "created", True)
        assert again.headers["Idempotent-Replayed"] == "true"


def test_the_feed_waits_for_the_next_change(
    client: httpx.Client, engine: Engine, later: Callable[[bytes], None]
) -> None:
    [one] = submit(engine, "wait_4")
    until(lambda: one in [row["id"] for row in client.get("/changes?limit=200").json()["data"]])
    end = client.get("/changes?after=now").json()["next_cursor"]
    empty, seconds = timed(lambda: client.get("/changes", params={"after": end}, headers=wait(1)))
    assert (empty.json()["data"], 1 <= seconds < 4) == ([], True)
    later(created("evt_wait_4", "wait_4"))
    found, seconds = timed(lambda: client.get("/changes", params={"after": end}, headers=wait(20)))
    assert [(row["id"], row["status"]) for row in found.json()["data"]] == [(one, "created")]
    assert 0.6 < seconds < 8


def test_hundreds_wait_on_one_process_while_webhooks_are_answered_as_ever(stack: Stack, engine: Engine) -> None:
    ids = submit(engine, *(f"crowd_{number}" for number in range(30)))
    others = submit(engine, *(f"other_{number}" for number in range(60)))
    assert len(others) == 60
    with Sender(stack.url, stack.webhook_secret) as sender:

        def send(numbers: range) -> float:
            answers = [sender.send(created(f"evt_other_{n}", f"other_{n}")) for n in numbers]
            assert {one.disposition for one in answers} == {"applied"}
            return statistics.median(one.seconds for one in answers)

        def end_it() -> None:
            for number in range(30):
                assert sender.send(created(f"evt_crowd_{number}", f"crowd_{number}")).status == 200

        alone = send(range(30))
        beside, waited = asyncio.run(_crowd(stack, ids, lambda: send(range(30, 60)), end_it))
    assert [answer["status"] for answer in waited] == ["created"] * CLIENTS
    assert beside < 3 * alone + 0.02


async def _crowd(
    stack: Stack, ids: list[str], meanwhile: Callable[[], float], end_it: Callable[[], None]
) -> tuple[float, list[dict[str, Any]]]:
    """Have a crowd wait; do something once all do, then end their wait."""
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {stack.api_key}"} | wait(30)
    async with httpx.AsyncClient(
        base_url=stack.url, headers=headers, timeout=60, limits=limits, trust_env=False
    ) as client:
        crowd = [asyncio.create_task(client.get(f"/v1/appointments/{ids[n % len(ids)]}")) for n in range(CLIENTS)]
        await asyncio.sleep(3)  # each has asked by now, or its answer would come too early
        assert not any(one.done() for one in crowd)
        took = await asyncio.to_thread(meanwhile)
        await asyncio.to_thread(end_it)
        return took, [answer.json() for answer in await asyncio.gather(*crowd)]
