"""Commands for the schema."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from service.config import read_database_url
from service.db import make_engine
from service.usecases import keep_counts
from service.usecases.keep_changes import renumber_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

LONGEST = timedelta(hours=1)
"""For one statement that reads a whole table."""


@click.group()
def db() -> None:
    """Bring the schema up to date, or check it."""


@db.command()
def upgrade() -> None:
    """Bring the database at DATABASE_URL to the newest schema, and make a restored copy ready to be followed."""
    from service import schema  # noqa: PLC0415 (loads Alembic, which no other command needs)

    schema.upgrade(read_database_url())
    with _patient_engine() as engine:
        while renumber_changes(engine):
            pass


@db.command()
def recount() -> None:
    """Count everything anew that the stats show.

    For when rows were written past the triggers that count them, as a restore of data alone does. The service may run
    meanwhile.
    """
    with _patient_engine() as engine:
        keep_counts.recount(engine)
    click.echo("everything is counted anew")


@db.command()
def check() -> None:
    """Migrate the database at DATABASE_URL up, down and up again, and compare it with the models.

    For an empty scratch database: one that holds rows in tables of ours is refused.
    """
    from service import schema  # noqa: PLC0415

    url = read_database_url()
    if filled := schema.tables_with_rows(url):
        sys.exit(f"DATABASE_URL: this database has rows in {', '.join(filled)}; `db check` needs an empty one")
    schema.upgrade(url)
    schema.downgrade(url, "base")
    schema.upgrade(url)
    differences = schema.differences(url)
    for difference in differences:
        click.echo(difference, err=True)
    if differences:
        sys.exit("the migrations and the models differ")
    click.echo("the migrations and the models agree")


@contextmanager
def _patient_engine() -> Iterator[Engine]:
    engine = make_engine(read_database_url(), pool=1, statement_timeout=LONGEST, lock_timeout=LONGEST)
    try:
        yield engine
    finally:
        engine.dispose()


COMMANDS = (db,)
