"""The command line: ``cobalt-appointments``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import click
import psycopg
from sqlalchemy.exc import DBAPIError

from service.errors import AppointmentsError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cobalt-appointments")
def cli() -> None:
    """The system of record between clinics' software and Cobalt's appointment robots."""


for name in (
    "processes",
    "database",
    "keys",
    "accounts",
    "webhook",
    "submit",
    "reconcile",
    "quarantine",
    "audit",
    "retention",
):
    for command in import_module(f"service.cli.{name}").COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run a command; what goes wrong on purpose is one line, not a traceback."""
    try:
        cli()
    except AppointmentsError as error:
        _end(str(error))
    except DBAPIError as error:
        _end(_what_postgresql_refused(error.orig or error))
    except psycopg.Error as error:
        _end(_what_postgresql_refused(error))


def _end(message: str) -> NoReturn:
    click.echo(f"cobalt-appointments: {message}", err=True)
    sys.exit(1)


def _what_postgresql_refused(error: BaseException) -> str:
    """Say what went wrong without PostgreSQL's own words, which may quote a patient's row."""
    kind = type(error).__name__
    if isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)):
        return f"the schema is missing or old: run `cobalt-appointments db upgrade` first ({kind})"
    constraint = error.diag.constraint_name if isinstance(error, psycopg.Error) else None
    return f"PostgreSQL: {kind} ({constraint})" if constraint else f"PostgreSQL: {kind}"
