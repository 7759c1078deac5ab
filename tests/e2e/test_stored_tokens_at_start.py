"""A process that could not use the stored accounts does not start, and says why in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.fernet import Fernet
from psycopg import sql

from service.cobalt.signing import sign
from service.lab.processes import Process, free_port
from service.postgres.engine import transaction
from service.postgres.sessions import connect
from service.usecases.access.accounts import add_account
from tests.records import created, open_engine, until
from tests.settings import REQUIRED, settings_from

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).parents[2]
WEB = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "wsgi:app"]
WORKER = [sys.executable, "-c", "from service.cli import main; main()", "worker"]
KEY, OTHER = (Fernet.generate_key().decode() for _ in range(2))
PATIENCE = 30
NOWHERE = "postgresql://postgres@127.0.0.1:9/nowhere"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Process]:
    def make(argv: list[str], database_url: str, **environment: str) -> Process:
        own = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": database_url,
            "COBALT_BASE_URL": "http://127.0.0.1:9/v1",
            "SPOOL_DIR": str(tmp_path / "spool"),
            "PORT": str(free_port()),
            "WEB_CONCURRENCY": "1",
        }
        return Process("process", argv, REQUIRED | own | environment, tmp_path / "log", cwd=PROJECT)

    return make


@pytest.fixture
def stored(database_url: str) -> str:
    """A database in which accounts are stored."""
    settings = settings_from(DATABASE_URL=database_url, ENCRYPTION_KEYS=KEY)
    with open_engine(database_url) as engine, transaction(engine) as session:
        for name in ("north", "south"):
            add_account(session, settings, name=name, reference=name, access_token="at-canary")
    return database_url


def ended(process: Process) -> list[str]:
    """Start it, wait for its end; returns the lines that are no log of ours."""
    process.start()
    until(lambda: not process.is_running, PATIENCE)
    assert process.returncode not in {0, None}
    return [line for line in process.log_text().splitlines() if not line.startswith("{")]


@pytest.mark.parametrize("argv", [WEB, WORKER], ids=["web", "worker"])
@pytest.mark.parametrize("keys", ["", OTHER], ids=["no key", "another key"])
def test_without_the_key_of_stored_accounts_it_does_not_start(
    make: Callable[..., Process], stored: str, argv: list[str], keys: str
) -> None:
    process = make(argv, stored, ENCRYPTION_KEYS=keys)
    [line] = ended(process)
    assert line.removeprefix("cobalt-appointments: ").startswith("ENCRYPTION_KEYS: ")
    assert "north, south" in line
    assert "canary" not in process.log_text()


@pytest.mark.parametrize("argv", [WEB, WORKER], ids=["web", "worker"])
def test_with_the_key_it_starts(make: Callable[..., Process], stored: str, argv: list[str]) -> None:
    process = make(argv, stored, ENCRYPTION_KEYS=f"{OTHER},{KEY}")
    process.start()
    try:
        process.wait_ready(f"http://127.0.0.1:{process.env['PORT']}/readyz/api" if argv is WEB else "worker ready")
    finally:
        process.terminate()


def test_a_postgresql_that_is_away_does_not_keep_webhooks_from_being_taken(make: Callable[..., Process]) -> None:
    process = make(WEB, NOWHERE, ENCRYPTION_KEYS="")
    url = f"http://127.0.0.1:{process.env['PORT']}"
    process.start()
    try:
        process.wait_ready(f"{url}/readyz/webhooks")
        raw = created("evt_1", "1")
        headers = {"cobalt-verification": sign(raw, REQUIRED["COBALT_WEBHOOK_SECRETS"])}
        taken = httpx.post(f"{url}/webhooks/cobalt", content=raw, headers=headers, trust_env=False)
        assert (taken.status_code, taken.json()["disposition"]) == (202, "spooled")
    finally:
        process.terminate()


def test_a_worker_that_started_before_postgresql_looks_when_it_is_there(
    make: Callable[..., Process], server_url: str, stored: str
) -> None:
    database = sql.Identifier(urlsplit(stored).path.lstrip("/"))
    with connect(server_url, autocommit=True) as control:
        control.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
        process = make(WORKER, stored, ENCRYPTION_KEYS=OTHER)
        process.start()
        process.wait_ready("PostgreSQL is away", PATIENCE)
        assert process.is_running
        control.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))
    until(lambda: not process.is_running, PATIENCE)
    assert process.returncode == 1
    assert "ENCRYPTION_KEYS: none of them decrypts the access token of north, south" in process.log_text()
