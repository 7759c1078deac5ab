"""Every session at PostgreSQL is opened in one place, which pins it."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
OPENS = re.compile(r"psycopg\.connect\(|Connection\.connect\(")
PLACE = "service/postgres/sessions.py"
CONTROL = "tests/integration/postgres/test_sessions.py"
"""Looks at a session that is not pinned, too."""


def test_nobody_else_opens_one() -> None:
    found = {
        str(path.relative_to(PROJECT))
        for folder in ("service", "migrations", "tests")
        for path in (PROJECT / folder).rglob("*.py")
        if path != Path(__file__) and OPENS.search(path.read_text())
    }
    assert found == {PLACE, CONTROL}, "use service.postgres.sessions.connect"
