"""Commands for the schema."""

from __future__ import annotations

import os
import sys

import click

from service import db as database
from service.errors import SettingsError


@click.group()
def db() -> None:
    """Bring the schema up to date, or check it."""


@db.command()
def upgrade() -> None:
    """Bring the database at DATABASE_URL to the newest schema."""
    database.upgrade(_url())


@db.command()
def check() -> None:
    """Migrate the database at DATABASE_URL up, down and up again, and compare it with the models.

    For an empty scratch database: what is in it is lost.
    """
    url = _url()
    if database.has_appointments(url):
        sys.exit("DATABASE_URL: this database holds appointments; `db check` needs an empty one")
    database.upgrade(url)
    database.downgrade(url, "base")
    database.upgrade(url)
    differences = database.schema_differences(url)
    for difference in differences:
        click.echo(difference, err=True)
    if differences:
        sys.exit("the migrations and the models differ")
    click.echo("the migrations and the models agree")


def _url() -> str:
    """Read the one setting these need: a migration must not depend on Cobalt's credentials."""
    try:
        return os.environ["DATABASE_URL"]
    except KeyError as error:
        raise SettingsError("DATABASE_URL: is missing (PostgreSQL as a libpq URL)") from error


COMMANDS = (db,)
