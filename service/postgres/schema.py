"""The schema: the migrations, and whether they agree with the models.

Only what deploys needs it, and none of the processes that run: loading Alembic takes a sixth of their start.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine

import migrations
from service.errors import DatabaseUnavailableError
from service.postgres.models import Base
from service.postgres.sessions import connect


def upgrade(url: str) -> None:
    """Bring the database at a libpq URL to the newest schema, waiting for it for up to 15 seconds."""
    wait_for_database(url)
    command.upgrade(_alembic(url), "head")


def wait_for_database(url: str) -> None:
    """Wait until a database answers, for up to 15 seconds.

    Raises:
        DatabaseUnavailableError: It does not.
    """
    deadline = time.monotonic() + 15
    while True:
        try:
            with connect(url):
                return
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise DatabaseUnavailableError(f"PostgreSQL does not answer: {type(error).__name__}") from error
            time.sleep(0.2)


def downgrade(url: str, revision: str) -> None:
    """Take the schema back to a revision."""
    command.downgrade(_alembic(url), revision)


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of the schema.

    Args:
        number: Of the migration that leads to it, like ``0010``.
        title: What that does.
    """

    number: str
    title: str


def list_revisions() -> list[Revision]:
    """List the states that the schema can be in, oldest first; the database without one comes before them."""
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()
    return [Revision(one.revision, one.doc.partition("\n")[0]) for one in scripts][::-1]


def differences(url: str) -> list[str]:
    """List what the migrated database and the models do not agree about; empty when all is well."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: connect(url))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            return [str(difference) for difference in compare_metadata(context, Base.metadata)]
    finally:
        engine.dispose()


def tables_with_rows(url: str) -> list[str]:
    """List those of our tables in a database that hold a row; empty when nothing of ours can be lost."""
    with connect(url) as connection:
        return [table for table in sorted(Base.metadata.tables) if _has_row(connection, table)]


def _has_row(connection: psycopg.Connection[Any], table: str) -> bool:
    found = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    if found is None or found[0] is None:
        return False
    query = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))
    return connection.execute(query).fetchone() is not None


def _alembic(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["url"] = url
    return config
