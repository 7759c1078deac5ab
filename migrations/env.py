"""Runs the migrations: each in a transaction of its own, and none may hold the service up for long."""

from alembic import context
from sqlalchemy import NullPool, create_engine, text

from service.postgres.models import Base
from service.postgres.sessions import connect

LOCK_TIMEOUT = "4s"  # a migration that has to wait longer for a lock fails, rather than queue everyone behind it
STATEMENT_TIMEOUT = "60s"  # building an index over millions of rows takes tens of seconds


def run() -> None:
    """Apply the migrations to the database that ``service.postgres.schema`` names."""
    url = context.config.attributes["url"]
    engine = create_engine("postgresql+psycopg://", creator=lambda: connect(url), poolclass=NullPool)
    with engine.connect() as connection:
        # Two deployments at once take turns, however long the first takes; the second finds nothing left to do.
        connection.execute(text("SELECT pg_advisory_lock(hashtextextended('cobalt-appointments migrations', 0))"))
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
