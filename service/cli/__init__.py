"""The command line: ``cobalt-appointments``."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from service.errors import AppointmentsError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cobalt-appointments")
def cli() -> None:
    """The system of record between clinics' software and Cobalt's appointment robots."""


for name in ("processes", "database", "keys", "accounts", "webhook", "submit", "reconcile", "quarantine"):
    for command in import_module(f"service.cli.{name}").COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run a command; what goes wrong on purpose is one line, not a traceback."""
    try:
        cli()
    except AppointmentsError as error:
        click.echo(f"cobalt-appointments: {error}", err=True)
        sys.exit(1)
