"""The embedded PostgreSQL survives what the drills do to it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from service.lab.postgres import EmbeddedPostgres
from service.lab.processes import ProcessError
from service.lab.reaper import is_alive
from service.postgres.sessions import connect

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    # One for all tests, because a new one takes a second. The path is too deep for a socket, and the setting
    # needs quoting.
    directory = tmp_path_factory.mktemp("deep" * 30)
    server = EmbeddedPostgres(directory, settings={"cluster_name": "it's deep"})
    yield server
    server.stop()


@pytest.fixture
def postgres(server: EmbeddedPostgres) -> EmbeddedPostgres:
    server.start()
    return server


def test_what_was_committed_is_there_after_a_kill_and_a_new_start(postgres: EmbeddedPostgres) -> None:
    with connect(postgres.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'still here' AS value")
    url = postgres.url()

    postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        connect(url)
    postgres.start()

    assert postgres.url() == url
    with connect(url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == ("still here",)


def test_a_lock_left_by_a_killed_server_does_not_stop_a_new_one(postgres: EmbeddedPostgres) -> None:
    postgres.kill()
    lock = postgres.data / "postmaster.pid"
    # By now the number belongs to somebody else: to the process whose id we can be sure of.
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join(["1", *lines[1:]]) + "\n")

    postgres.start()

    connect(postgres.url()).close()


def test_a_query_hangs_while_the_server_is_frozen_and_goes_on_when_it_thaws(
    postgres: EmbeddedPostgres,
) -> None:
    answers: list[object] = []
    with connect(postgres.url(), autocommit=True) as connection:
        query = threading.Thread(target=lambda: answers.append(connection.execute("SELECT 42").fetchone()))

        postgres.freeze()
        query.start()
        query.join(0.3)
        hung = query.is_alive()
        postgres.thaw()
        query.join(10)

    assert hung
    assert answers == [(42,)]


def test_a_frozen_server_can_be_stopped(postgres: EmbeddedPostgres) -> None:
    postgres.freeze()

    postgres.stop()

    assert not postgres.process.is_running


def test_two_run_at_once_in_different_directories(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    other = EmbeddedPostgres(tmp_path / "two")
    other.start()
    try:
        other.create_database("only_here")

        assert other.has_database("only_here")
        assert not postgres.has_database("only_here")
    finally:
        other.stop()


def test_a_second_one_in_the_same_directory_is_refused(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(ProcessError, match="is using"):
        EmbeddedPostgres(postgres.directory).start()


def test_settings_reach_the_server(postgres: EmbeddedPostgres) -> None:
    with connect(postgres.url()) as connection:
        assert connection.execute("SHOW cluster_name").fetchone() == ("it's deep",)
        assert connection.execute("SHOW max_connections").fetchone() == ("200",)


def test_the_socket_of_a_deep_directory_is_elsewhere_and_goes_with_the_server(
    postgres: EmbeddedPostgres,
) -> None:
    socket_directory = Path(postgres.url().partition("?host=")[2])
    assert socket_directory.is_dir()
    assert not socket_directory.is_relative_to(postgres.directory)

    postgres.stop()

    assert not socket_directory.exists()


def test_a_dropped_database_is_gone_although_somebody_is_connected(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("crowded")
    postgres.create_database("copied", template="crowded", strategy="file_copy")
    connection = connect(postgres.url("copied"))

    postgres.drop_database("copied")

    assert not postgres.has_database("copied")
    assert postgres.has_database("crowded")
    connection.close()


START_AND_STAY = """
import sys, time
from pathlib import Path
from service.lab.postgres import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
server.freeze()
print(server.process.pid, flush=True)
time.sleep(60)
"""


def test_even_a_frozen_server_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START_AND_STAY, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:  # noqa: S603  our own program
        assert owner.stdout is not None
        postmaster = psutil.Process(int(owner.stdout.readline()))
        members = [postmaster, *postmaster.children(recursive=True)]

        owner.kill()

    deadline = time.monotonic() + 10
    while any(map(is_alive, members)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
