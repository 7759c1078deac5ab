"""Rows are shown to people in a table, and to programs so that they can be cut, sorted and read."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from service.cli.listing import show

if TYPE_CHECKING:
    import pytest

AT = datetime(2030, 1, 15, 10, 0, tzinfo=timezone(timedelta(hours=-5)))
COLUMNS = ("id", "created_at", "scopes", "count", "expires_at")
ROWS = [
    {
        "id": "[red]x[/red]" * 20,
        "created_at": AT,
        "scopes": ["read", "phi"],
        "count": 3,
        "expires_at": None,
        "key": "x",
    },
    {"id": "two\tcells\nand\x1b[31m lines", "created_at": AT, "scopes": [], "count": 0, "expires_at": AT},
]


def test_into_a_pipe_goes_a_whole_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    show(COLUMNS, ROWS, as_json=False)
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("\t") == ["[red]x[/red]" * 20, "2030-01-15 15:00:00Z", "read phi", "3", ""]
    assert second.split("\t") == [
        "two\\tcells\\nand\\x1b[31m lines",
        "2030-01-15 15:00:00Z",
        "",
        "0",
        "2030-01-15 15:00:00Z",
    ]


def test_json_is_a_line_for_each_row_with_these_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show(COLUMNS, ROWS, as_json=True)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert list(first) == list(COLUMNS)
    assert (first["created_at"], first["scopes"], first["count"]) == ("2030-01-15T15:00:00+00:00", ["read", "phi"], 3)
    assert (first["expires_at"], second["id"]) == (None, ROWS[1]["id"])


def test_a_terminal_shows_a_table_with_headings_and_texts_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "400")
    show(COLUMNS, ROWS, as_json=False)
    shown = capsys.readouterr().out
    assert "created at" in shown
    assert "[red]x[/red]" in shown
    assert "\x1b[31m lines" not in shown
    assert "━" in shown
