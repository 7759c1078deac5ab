"""What most commands need: the settings, a database, the person at the keyboard, and durations."""

from __future__ import annotations

import os
import pwd
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from service.config import DatabaseSettings
from service.postgres.engine import make_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine

LONGEST = 6
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def open_engine(settings: DatabaseSettings | None = None, *, statement_timeout: timedelta | None = None) -> Engine:
    """Make a small pool for one command, closed when the command ends.

    Args:
        settings: Read anew when they are not given.
        statement_timeout: For one statement; the settings', when it is not given.
    """
    settings = settings or DatabaseSettings.from_env()
    engine = make_engine(
        settings.database_url,
        pool=2,
        statement_timeout=statement_timeout or settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )
    click.get_current_context().call_on_close(engine.dispose)
    return engine


def os_user() -> str:
    """Name the person at the keyboard: the user of this process and, with sudo, the user behind it."""
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
