"""How commands show rows: a table on a terminal, lines in a pipe, JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = Mapping[str, object]
"""Column -> a text, number, time, list of texts, or None."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead of a table.")


def show(columns: Sequence[str], rows: Iterable[Row], *, as_json: bool) -> None:
    """Print rows.

    On a terminal as a table with headings. Into a pipe or a file a line each, its cells separated by tabs, whole and
    without headings, as ``cut`` and ``sort`` want it.

    Args:
        columns: Which, and in what order; the names are those of JSON, and headings with blanks in place of ``_``.
        rows: Each with these columns.
        as_json: One JSON object a line, with times in RFC 3339, wherever it goes.
    """
    console = Console(highlight=False)
    if as_json:
        for row in rows:
            click.echo(json.dumps({name: _as_json(row[name]) for name in columns}))
    elif console.is_terminal:
        table = Table(*(name.replace("_", " ") for name in columns))
        for row in rows:
            table.add_row(*(Text(_as_text(row[name])) for name in columns))
        console.print(table)
    else:
        for row in rows:
            click.echo("\t".join(_as_text(row[name]) for name in columns))


def _as_json(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _as_text(value: object) -> str:
    """Write a value in one line, with control characters escaped."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    text = value if isinstance(value, str) else " ".join(value) if isinstance(value, Sequence) else str(value)
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
