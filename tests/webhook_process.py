"""One web process without its HTTP server, as a sender of webhooks sees it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.cobalt.signing import sign
from service.errors import DatabaseUnavailableError
from service.web.app import create_app
from service.web.services import services_of
from tests.records import until
from tests.settings import settings_from
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask
    from werkzeug.test import TestResponse

SECRET = "whsec_test"
BUDGET = 2.0


@contextmanager
def opened_web(database_url: str, spool: Path, **environment: str) -> Iterator[Web]:
    """Open a web process, and close its connections afterwards."""
    app = create_app(
        settings_from(**{"DATABASE_URL": database_url, "SPOOL_DIR": str(spool), "LOG_LEVEL": "error"} | environment)
    )
    yield Web(app)
    services_of(app).close()


class Web:
    """One web process without its HTTP server; its drainer runs only when it is told to."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.client = client_of(app)

    def post(self, raw: bytes, signature: str | None = None) -> TestResponse:
        """Send as Cobalt does, within the budget or the test fails."""
        began = time.monotonic()
        answer = self.client.post(
            "/webhooks/cobalt",
            data=raw,
            headers={"cobalt-verification": signature or sign(raw, SECRET), "Content-Type": "application/json"},
        )
        seconds = time.monotonic() - began
        assert seconds < BUDGET
        return answer

    def take(self, *raws: bytes) -> list[tuple[int, str]]:
        """Send one after the other; returns what each was answered."""
        return [(answer.status_code, answer.json["disposition"]) for answer in map(self.post, raws) if answer.json]

    def take_at_once(self, *raws: bytes) -> list[tuple[int, str]]:
        with ThreadPoolExecutor(len(raws)) as pool:
            return [found for each in pool.map(self.take, raws) for found in each]

    def timed(self, raw: bytes) -> float:
        """Send one that must be spooled; returns the seconds that it took."""
        began = time.monotonic()
        assert self.take(raw) == [(202, "spooled")]
        return time.monotonic() - began

    @property
    def depth(self) -> int:
        count: int = services_of(self.app).spool.depth().count
        return count

    def drain(self) -> None:
        """Drain as the process does: again and again until PostgreSQL is back and nothing waits."""

        def drained() -> bool:
            try:
                services_of(self.app).drainer.run_once()
            except DatabaseUnavailableError:
                return False
            return self.depth == 0

        until(drained)
