"""The command line: ``cobalt-appointments``."""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from typing import NoReturn

import click
import psycopg
from sqlalchemy.exc import DBAPIError

from service.config.misspelt import find_misspelt
from service.errors import AppointmentsError
from service.postgres import engine as db
from service.telemetry import log

LOGGING = ("worker",)
"""These commands report misspelt settings in their log."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cobalt-appointments")
@click.pass_context
def cli(context: click.Context) -> None:
    """The system of record between clinics' software and Cobalt's appointment robots."""
    if context.invoked_subcommand not in LOGGING:
        for name, meant in find_misspelt(os.environ):
            click.echo(
                f"{name} in the environment is not a setting{f'; did you mean {meant}?' if meant else ''}", err=True
            )


for name in (
    "processes",
    "database",
    "keys",
    "accounts",
    "catalogue",
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
    """Run a command; an expected error is one line, not a traceback."""
    log.configure("warning", sys.stderr)  # standard output is the command's answer
    for handler in logging.getLogger().handlers:  # what is wrong with the database is the last line
        handler.addFilter(lambda record: record.name != db.__name__)
    try:
        with db.our_errors():
            cli(prog_name="cobalt-appointments")
    except AppointmentsError as error:
        _end(str(error))
    except (DBAPIError, psycopg.Error) as error:
        _end(f"PostgreSQL: {db.refusal(error)}")  # its own words may quote a patient's row


def _end(message: str) -> NoReturn:
    click.echo(f"cobalt-appointments: {message}", err=True)
    sys.exit(1)
