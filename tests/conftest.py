"""One PostgreSQL for the whole run, and a database of its own for each test that asks for one."""

from __future__ import annotations

import os
import secrets
import tempfile
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from psycopg import sql
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from service.lab.postgres import EmbeddedPostgres
from service.postgres import schema
from service.postgres.sessions import connect
from tests import hostile
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

SERVER_URL = "TEST_SERVER_URL"
# A power cut may take these databases.
FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}

# Each test brings up a stack of its own.
DRILLS = tuple(f"tests/e2e/test_{name}.py" for name in ("prove", "broken_variants", "bench", "attack"))
# These use the one `stack` of their worker; the other modules bring up their own.
SHARING = tuple(
    f"tests/e2e/test_{name}.py"
    for name in (
        *("canaries", "docs_page", "examples", "files", "hostile_bodies", "python_client", "schemathesis"),
        *("webhook_framing", "worker"),
    )
)
SHARED_ENV = {"LONGEST_WAIT": "1", "WEB_CONCURENCY": "1"}
"""One of them is misspelt on purpose: it changes nothing, and is pointed out."""

os.environ.update(hostile.ENVIRONMENT)

_server = pytest.StashKey[ExitStack]()


@contextmanager
def _embedded_server() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cobalt-tests-", ignore_cleanup_errors=True) as directory:
        postgres = EmbeddedPostgres(Path(directory), settings=FAST | hostile.SERVER)
        try:
            postgres.start()
            hostile.prepare(postgres.url())
            yield postgres.url()
        finally:
            postgres.stop()


def pytest_sessionstart(session: pytest.Session) -> None:
    """With xdist the controller starts the server, and its workers inherit the address."""
    config = session.config
    if hasattr(config, "workerinput") or config.option.collectonly or config.getoption("dist", "no") == "no":
        return
    config.stash[_server] = ExitStack()
    os.environ[SERVER_URL] = config.stash[_server].enter_context(_embedded_server())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it, also after Ctrl-C."""
    if _server in config.stash:
        del os.environ[SERVER_URL]
        config.stash[_server].close()


class ByCost(LoadScopeScheduling):  # type: ignore[misc]
    """Tests that share something slow to bring up stay in one worker; the others go wherever there is room.

    xdist's own groups have no effect since pytest 9.2: https://github.com/pytest-dev/pytest-xdist/issues/1386
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(DRILLS):
            return nodeid
        if nodeid.startswith(SHARING):
            return "the stack"
        if nodeid.startswith(("tests/e2e/", "tests/integration/")):
            return nodeid.partition("::")[0]
        return nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByCost:
    """Let xdist use it, in the order of the files: the slow ones of `e2e` first, and in the end what fills any gap."""
    config.option.loadscopereorder = False
    return ByCost(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: who tests processes mostly waits for them."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The libpq URL of the run's server, for its superuser; without xdist it starts when the first test asks."""
    if SERVER_URL in os.environ:
        yield os.environ[SERVER_URL]
        return
    with _embedded_server() as url:
        yield url


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a database that the migrations built, to copy; one for each xdist worker."""
    with fresh_database(server_url) as url:
        schema.upgrade(url)
        yield urlsplit(url).path.lstrip("/")


@pytest.fixture
def defaults_of(request: pytest.FixtureRequest) -> str:
    """The role whose defaults a test meets: always the same, and for about half of them either."""
    return sorted(hostile.ROLES)[zlib.crc32(request.node.nodeid.encode()) % len(hostile.ROLES)]


@pytest.fixture
def database_url(server_url: str, template: str, defaults_of: str) -> Iterator[str]:
    """The libpq URL of a fresh database with the newest schema."""
    with fresh_database(server_url, template, role=defaults_of) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str, defaults_of: str) -> Iterator[str]:
    """The libpq URL of a fresh database without our schema."""
    with fresh_database(server_url, role=defaults_of) as url:
        yield url


@pytest.fixture(scope="session")
def stack(server_url: str, template: str) -> Iterator[Stack]:
    """The whole service running: web, worker and sandbox, on a database of its own."""
    with (
        fresh_database(server_url, template) as url,
        running(database_url=url, sandbox_options=["--delay", "0.1"], env=SHARED_ENV) as stack,
    ):
        yield stack


@contextmanager
def fresh_database(server_url: str, template: str | None = None, *, role: str = "east") -> Iterator[str]:
    """Make a database that is gone afterwards, and say its libpq URL for that role."""
    name = f"test_{secrets.token_hex(8)}"
    # Copying files took 25 ms and going through the WAL 75 ms; where nothing is kept, nothing speaks for it.
    copy = sql.SQL("TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template or "template1"))
    _execute(server_url, sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), copy))
    try:
        yield urlsplit(server_url)._replace(netloc=f"{role}@", path=f"/{name}").geturl()
    finally:
        _execute(server_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _execute(server_url: str, statement: sql.Composed) -> None:
    with connect(server_url, autocommit=True) as connection:
        connection.execute(statement)
