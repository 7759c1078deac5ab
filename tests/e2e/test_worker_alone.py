"""The worker as a process, without the rest: beside a Cobalt that harms it, and on a database without tables."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from service.lab.processes import NO_TLS, Process, free_port
from service.postgres import schema
from tests.records import ACCOUNT, ask, columns, open_engine, row, until
from tests.scripted_cobalt import drip, listening, read_request, reply, until_left
from tests.settings import REQUIRED

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

YES = reply(b'{"success":true,"data":{"appointment_id":"12"}}')
GRACE = 2.0
MARGIN = 3.0
"""Seconds, for a busy machine."""
PATIENCE = 30


@contextmanager
def working(tmp_path: Path, database_url: str, base_url: str, **environment: str) -> Iterator[Process]:
    process = Process(
        "worker",
        [sys.executable, "-c", "from service.cli import main; main()", "worker"],
        {"PATH": os.environ["PATH"], "COBALT_ACCOUNT": ACCOUNT, "COBALT_ACCESS_TOKEN": "token_1"}
        | REQUIRED
        | {"DATABASE_URL": database_url, "COBALT_BASE_URL": base_url}
        | environment,
        tmp_path / "worker.log",
    )
    process.start()
    try:
        process.wait_ready("worker ready", PATIENCE)
        yield process
    finally:
        process.kill()


def status(url: str) -> int:
    return httpx.get(url, trust_env=False, verify=NO_TLS).status_code


def end(worker: Process) -> float:
    """Ask it to end; returns the seconds that it took."""
    began = time.monotonic()
    os.kill(worker.pid, signal.SIGTERM)
    until(lambda: not worker.is_running, PATIENCE)
    return time.monotonic() - began


HARM: dict[str, Callable[[socket.socket], object]] = {
    "drips": lambda connection: drip(connection, b"HTTP/1.1 200 OK\r\nX: 1\r\n"),
    "says nothing": until_left,
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_worker_ends_within_its_grace_and_records_the_calls_that_it_broke_off(
    tmp_path: Path, database_url: str, harm: Callable[[socket.socket], object]
) -> None:
    taken = []

    def take(connection: socket.socket) -> None:
        taken.append(read_request(connection))
        harm(connection)

    with listening(take) as base_url, open_engine(database_url) as engine:
        asked = [ask(engine) for _ in range(3)]
        with working(tmp_path, database_url, base_url, WORKER_GRACE=str(GRACE), COBALT_TIMEOUT="600") as worker:
            until(lambda: len(taken) == 3, PATIENCE)
            took = end(worker)

        assert took < GRACE + MARGIN
        assert worker.returncode == 0, worker.log_tail()
        found = [columns(row(engine, one), "status", "submission", "last_error") for one in asked]
        assert found == [("processing", "unconfirmed", "the worker stopped")] * 3


def test_a_worker_that_cannot_record_a_call_ends_within_its_grace_nevertheless(
    tmp_path: Path, database_url: str
) -> None:
    taken = []

    def take(connection: socket.socket) -> None:
        taken.append(read_request(connection))
        until_left(connection)

    with listening(take) as base_url, open_engine(database_url) as engine:
        asked = ask(engine)
        with working(tmp_path, database_url, base_url, WORKER_GRACE=str(GRACE), STATEMENT_TIMEOUT="600") as worker:
            until(lambda: taken, PATIENCE)
            with engine.begin() as connection:
                connection.exec_driver_sql("SELECT FROM appointments FOR UPDATE")
                took = end(worker)
        assert took < GRACE + MARGIN
        assert worker.returncode == 1
        assert row(engine, asked)["submission"] == "sending"  # until its lease is over


def test_a_worker_asks_once_for_the_migrations_and_works_when_they_are_there(
    tmp_path: Path, empty_database_url: str
) -> None:
    def take(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(YES)

    with listening(take) as base_url, open_engine(empty_database_url) as engine:
        port = free_port()
        own = f"http://127.0.0.1:{port}"
        environment = {"WORKER_INTERVAL": "0.01", "METRICS_PORT": str(port)}
        with working(tmp_path, empty_database_url, base_url, **environment) as worker:
            until(lambda: "db upgrade" in worker.log_text(), PATIENCE)
            assert (status(f"{own}/livez"), status(f"{own}/readyz")) == (200, 503)
            schema.upgrade(empty_database_url)  # takes a hundred times the interval
            asked = ask(engine)
            until(lambda: row(engine, asked)["submission"] == "accepted", PATIENCE)
            assert (status(f"{own}/livez"), status(f"{own}/readyz")) == (200, 200)

        assert worker.log_text().count("db upgrade") == 1
        assert 1 <= worker.log_text().count('"level": "error"') <= 2, worker.log_text()
        assert "the database is ready" in worker.log_text()
