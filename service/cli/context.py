"""What most commands need: the settings, a database, and tables for people."""

from __future__ import annotations

import os
import pwd
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from rich.console import Console

from service.config import Settings
from service.db import make_engine

if TYPE_CHECKING:
    from rich.table import Table
    from sqlalchemy import Engine

LONGEST = 6
UNBROKEN = 1000
"""Columns where there is no terminal: an id that is broken in two can be neither found nor copied."""
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def open_engine(settings: Settings | None = None, *, statement_timeout: timedelta | None = None) -> Engine:
    """Make a small pool for one command, closed when the command ends.

    Args:
        settings: Read anew when they are not given.
        statement_timeout: For one statement; the settings', when it is not given.
    """
    settings = settings or Settings.from_env()
    engine = make_engine(
        settings.database_url,
        pool=2,
        statement_timeout=statement_timeout or settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )
    click.get_current_context().call_on_close(engine.dispose)
    return engine


def show(table: Table) -> None:
    """Print a table, its texts as they are: rich would read ``[red]`` in a name as a colour."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = UNBROKEN
    console.print(table)


def os_user() -> str:
    """Name who types: the user of this process, and who became that user by sudo."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user needs no entry
        name = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER")
    return f"{behind} as {name}" if behind and behind != name else name


class Duration(click.ParamType[timedelta]):
    """A duration like ``90d``, ``12h``, ``30m`` or ``2w``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read one."""
        if isinstance(value, timedelta):
            return value
        text = str(value)
        if not (text[:-1].isdecimal() and len(text) < LONGEST and text[-1] in UNITS):
            self.fail("must be a number and a unit, like 90d, 12h, 30m or 2w", param, ctx)
        duration = timedelta(**{UNITS[text[-1]]: int(text[:-1])})
        if not duration:
            self.fail("must be longer than nothing", param, ctx)
        return duration
