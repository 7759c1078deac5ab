"""The command that submits many appointments from a file."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from marshmallow import ValidationError
from rich.console import Console
from rich.progress import track

from service.cli.context import open_engine
from service.config import Settings
from service.db import transaction
from service.errors import InvalidFieldsError
from service.ids import new_id
from service.request_schema import AppointmentIn
from service.usecases.request_appointment import AppointmentRequest, request_appointment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def submit(file: Path) -> None:
    """Ask for the appointments in FILE, a CSV whose header names Cobalt's fields, and `account` if needed.

    All rows are taken in one transaction: either all are good, or the bad ones are named and none is taken.
    Prints the ids.
    """
    settings = Settings.from_env()
    try:
        rows = list(_rows(file))
    except UnicodeDecodeError:
        sys.exit(f'{file.name}: is not UTF-8; save it as "CSV UTF-8"')
    except csv.Error as error:
        sys.exit(f"{file.name}: is not a CSV file: {error}")
    if not rows:
        sys.exit(f"{file.name}: has no rows; the first line names the fields, each other line is a request")
    with transaction(open_engine(settings)) as session:
        ids = _request_all(session, settings, file.name, rows)
    click.echo("\n".join(ids))


def _rows(file: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Read the rows, each with the number of the line that it ends on."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, restkey="more fields than the header")
        for row in reader:
            yield reader.line_num, {name: value for name, value in row.items() if value}


def _request_all(
    session: Session, settings: Settings, file_name: str, rows: list[tuple[int, dict[str, object]]]
) -> list[str]:
    schema = AppointmentIn()
    ids: list[str] = []
    for line, row in track(rows, "submitting", console=Console(stderr=True)):
        try:
            body = schema.load(row)
            wanted = AppointmentRequest(
                fields=AppointmentIn.cobalt_fields(body),
                account=body.get("account"),
                metadata=body["metadata"],
                request_id=new_id("req"),
            )
            ids.append(request_appointment(session, settings, wanted).id)
        except ValidationError as error:
            for field, messages in error.messages_dict.items():
                click.echo(f"{file_name}: line {line}: {field}: {' '.join(map(str, messages))}", err=True)
        except InvalidFieldsError as error:
            for pointer, message in error.errors.items():
                click.echo(f"{file_name}: line {line}: {pointer.lstrip('/')}: {message}", err=True)
    if len(ids) < len(rows):
        sys.exit(f"{file_name}: {len(rows) - len(ids)} of {len(rows)} rows are wrong; none was taken")
    return ids


COMMANDS = (submit,)
