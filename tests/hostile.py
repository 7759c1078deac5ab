"""Defaults of a server, of roles and of a machine that must not matter: all tests run under them.

What the migrations build, what the service writes and what the tests read is the same as under PostgreSQL's own, or
somebody opened a session that is not pinned.
"""

from __future__ import annotations

from psycopg import sql

from service.postgres.models import Base
from service.postgres.sessions import connect

SERVER = {
    "timezone": "Asia/Kathmandu",
    "datestyle": "Postgres, DMY",
    "intervalstyle": "postgres_verbose",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "default_transaction_isolation": "serializable",
    "search_path": "decoy, pg_catalog, public",
    "lock_timeout": "100ms",
    "statement_timeout": "200ms",
    "synchronous_commit": "off",
}
"""Lines of postgresql.conf."""

_ANYWHERE = {
    "search_path": "decoy, pg_catalog, public",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "backslash_quote": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "quote_all_identifiers": "on",
    "xmlbinary": "hex",
    "xmloption": "document",
    "gin_fuzzy_search_limit": "1",
    "session_replication_role": "replica",
    "default_transaction_read_only": "on",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "1ms",
    "transaction_timeout": "1s",  # it can be lifted by a statement only, which has to have the time
    "exit_on_error": "on",
}
ROLES = {
    "east": _ANYWHERE
    | {
        "timezone": "Pacific/Kiritimati",
        "datestyle": "German, DMY",
        "intervalstyle": "sql_standard",
        "client_encoding": "LATIN1",
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
    },
    "west": _ANYWHERE
    | {
        "timezone": "Pacific/Pago_Pago",
        "datestyle": "SQL, YMD",
        "intervalstyle": "iso_8601",
        "client_encoding": "SQL_ASCII",
        "default_transaction_isolation": "repeatable read",
    },
}
"""By name; the tests of one database connect as one of them."""

ENVIRONMENT = {
    "PGTZ": "America/St_Johns",
    "PGDATESTYLE": "German, YMD",
    "PGCLIENTENCODING": "LATIN1",
    "PGOPTIONS": "-c search_path=decoy -c bytea_output=escape",
}


def prepare(server_url: str) -> None:
    """Make the roles of a server, and in every database to come a schema `decoy` with tables of our names."""
    with connect(server_url, autocommit=True) as connection:
        for role, defaults in ROLES.items():
            name = sql.Identifier(role)
            connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(name))
            for setting, value in defaults.items():
                words = sql.SQL(", ").join(sql.Literal(word) for word in value.split(", "))
                connection.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), words))
    with connect(server_url, autocommit=True, dbname="template1") as connection:
        connection.execute("CREATE SCHEMA decoy")
        for table in (*Base.metadata.tables, "alembic_version"):
            # One row without a column: cheap to copy.
            connection.execute(sql.SQL("CREATE VIEW decoy.{} AS SELECT").format(sql.Identifier(table)))
        connection.execute(
            "CREATE FUNCTION decoy.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '1999-12-31Z' $$"
        )
