"""Commands for the schema."""

from __future__ import annotations

import sys
from datetime import timedelta

import click

from service import db as database
from service.config import read_database_url
from service.usecases import keep_counts

LONGEST = timedelta(hours=1)
"""For one statement that reads a whole table."""


@click.group()
def db() -> None:
    """Bring the schema up to date, or check it."""


@db.command()
def upgrade() -> None:
    """Bring the database at DATABASE_URL to the newest schema."""
    database.upgrade(read_database_url())


@db.command()
def recount() -> None:
    """Count everything anew that the stats show.

    For when rows were written past the triggers that count them, as a restore of data alone does. The service may run
    meanwhile.
    """
    engine = database.make_engine(read_database_url(), pool=2, statement_timeout=LONGEST, lock_timeout=LONGEST)
    try:
        keep_counts.recount(engine)
    finally:
        engine.dispose()
    click.echo("everything is counted anew")


@db.command()
def check() -> None:
    """Migrate the database at DATABASE_URL up, down and up again, and compare it with the models.

    For an empty scratch database: one that holds rows in tables of ours is refused.
    """
    url = read_database_url()
    if filled := database.tables_with_rows(url):
        sys.exit(f"DATABASE_URL: this database has rows in {', '.join(filled)}; `db check` needs an empty one")
    database.upgrade(url)
    database.downgrade(url, "base")
    database.upgrade(url)
    differences = database.schema_differences(url)
    for difference in differences:
        click.echo(difference, err=True)
    if differences:
        sys.exit("the migrations and the models differ")
    click.echo("the migrations and the models agree")


COMMANDS = (db,)
