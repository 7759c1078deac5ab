"""Commands for the schema."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from service.cli.listing import json_option, show
from service.cli.strictness import Group
from service.config import read_setting
from service.postgres.engine import make_engine, transaction
from service.postgres.queries.revision import find_revision
from service.usecases.upkeep import keep_counts
from service.usecases.upkeep.keep_changes import renumber_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from service.postgres.schema import Revision

LONGEST = timedelta(hours=1)
"""For one statement that reads a whole table."""


@click.group(cls=Group)
def db() -> None:
    """Bring the schema up to date, or check it."""


@db.command()
def upgrade() -> None:
    """Bring the database at DATABASE_URL to the newest schema, and make a restored copy ready to be followed."""
    from service.postgres import schema  # noqa: PLC0415 (loads Alembic, which no other command needs)

    url = read_setting("database_url")
    with _patient_engine() as engine:
        schema.wait_for_database(url)
        before = _find_revision(engine)
        schema.upgrade(url)
        after = _find_revision(engine)
        renumbered = 0
        while count := renumber_changes(engine):
            renumbered += count
    for revision in _between(before, after):
        click.echo(f"{revision.number}  {revision.title}")
    was = f"was at {before or 'nothing'}, and is" if before != after else "is as before"
    click.echo(f"the schema {was} at {after}, the newest")
    if renumbered:
        click.echo(f"{renumbered} changes of a restored copy were renumbered")


@db.command()
@json_option
def current(*, as_json: bool) -> None:
    """Show which migration the schema of the database at DATABASE_URL is at, and how many are left to do."""
    with _patient_engine() as engine:
        revision = _find_revision(engine)
    left = len(_between(revision, None))
    show(("revision", "left"), [{"revision": revision, "left": left}], as_json=as_json)


@db.command()
@json_option
def history(*, as_json: bool) -> None:
    """List the migrations, oldest first, and which of them the database at DATABASE_URL has had."""
    with _patient_engine() as engine:
        left = {revision.number for revision in _between(_find_revision(engine), None)}
    rows = (
        {"revision": one.number, "done": "no" if one.number in left else "yes", "title": one.title}
        for one in _between(None, None)
    )
    show(("revision", "done", "title"), rows, as_json=as_json)


@db.command()
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
def downgrade(revision: str, *, yes: bool) -> None:
    """Take the schema back to REVISION, as `db history` numbers them.

    What later migrations added is lost with all that it holds. Run the code of that time against it afterwards.
    """
    from service.postgres import schema  # noqa: PLC0415

    with _patient_engine() as engine:
        before = _find_revision(engine)
        known = [one.number for one in _between(None, before)] if before else []
        if revision not in known[:-1]:
            sys.exit(f"the schema is at {before or 'nothing'}, and there is no revision {revision} before that")
        undone = _between(revision, before)[::-1]
        for one in undone:
            click.echo(f"{one.number}  {one.title}", err=True)
        if not yes:
            click.confirm("Undo these migrations, and lose what they added?", abort=True, err=True)
        schema.downgrade(read_setting("database_url"), revision)
        click.echo(f"the schema was at {before}, and is at {_find_revision(engine)}")


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
    from service.postgres import schema  # noqa: PLC0415

    url = read_setting("database_url")
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


def _find_revision(engine: Engine) -> str | None:
    from service.postgres import schema  # noqa: PLC0415

    with transaction(engine) as session:
        revision = find_revision(session)
    if revision and revision not in {one.number for one in schema.list_revisions()}:
        sys.exit(f"the schema is at {revision}, which this version of the service does not know: it is newer")
    return revision


def _between(after: str | None, last: str | None) -> list[Revision]:
    """List the migrations after one, up to and with another; None for the beginning and the end."""
    from service.postgres import schema  # noqa: PLC0415

    return [one for one in schema.list_revisions() if one.number > (after or "") and one.number <= (last or one.number)]


@contextmanager
def _patient_engine() -> Iterator[Engine]:
    engine = make_engine(read_setting("database_url"), pool=1, statement_timeout=LONGEST, lock_timeout=LONGEST)
    try:
        yield engine
    finally:
        engine.dispose()


COMMANDS = (db,)
