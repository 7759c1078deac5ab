"""What most commands need: the settings and a database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from service.config import Settings
from service.db import make_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine

LONGEST = 6
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def open_engine(settings: Settings | None = None) -> Engine:
    """Make a small pool for one command."""
    settings = settings or Settings.from_env()
    return make_engine(
        settings.database_url,
        pool=2,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )


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
        return timedelta(**{UNITS[text[-1]]: int(text[:-1])})
