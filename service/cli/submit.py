"""The command that submits many appointments from a file."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import click
from marshmallow import ValidationError
from rich.console import Console
from rich.progress import track

from service.api.schemas import AppointmentIn
from service.cli.context import open_engine
from service.config import Settings
from service.db import transaction
from service.errors import InvalidFieldsError
from service.ids import new_id
from service.usecases.request_appointment import AppointmentRequest, request_appointment


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def submit(file: Path) -> None:
    """Ask for the appointments in FILE, a CSV whose header names Cobalt's fields, and `account` if needed.

    Every row is checked before the first is taken: either all are good, or the bad ones are named and none is
    taken. Prints the ids.
    """
    settings = Settings.from_env()
    engine = open_engine(settings)
    wanted = _read(file)
    for number, one in track(enumerate(wanted, start=2), "submitting", total=len(wanted), console=Console(stderr=True)):
        try:
            with transaction(engine) as session:
                appointment = request_appointment(session, settings, one)
            click.echo(appointment.id)
        except InvalidFieldsError as error:
            sys.exit(f"{file.name}: line {number}: {error} (the rows before it were taken)")


def _read(file: Path) -> list[AppointmentRequest]:
    schema = AppointmentIn()
    wanted, wrong = [], 0
    with file.open(newline="", encoding="utf-8-sig") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            try:
                body = schema.load({name: value for name, value in row.items() if value})
            except ValidationError as error:
                wrong += 1
                for field, messages in error.messages_dict.items():
                    click.echo(f"{file.name}: line {number}: {field}: {' '.join(messages)}", err=True)
                continue
            wanted.append(
                AppointmentRequest(
                    fields=AppointmentIn.cobalt_fields(body),
                    account=body.get("account"),
                    metadata={},
                    request_id=new_id("req"),
                )
            )
    if wrong:
        sys.exit(f"{file.name}: {wrong} of {wrong + len(wanted)} rows are wrong; none was taken")
    return wanted


COMMANDS = (submit,)
