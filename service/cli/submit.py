"""The command that submits many appointments from a file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.progress import Progress

from service.cli.context import open_engine, os_user
from service.cli.strictness import Command
from service.config import AccountSettings
from service.errors import DatabaseUnavailableError
from service.postgres.engine import transaction
from service.requests.file import Problem, UnreadableFileError, read_request_file
from service.usecases.access.accounts import account_timezones
from service.usecases.access.catalogues import find_catalogue
from service.usecases.submissions.check_import import check_import
from service.usecases.submissions.import_requests import find_same_start, plan_import, take_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from service.usecases.submissions.check_import import Checked, WantedRow
    from service.usecases.submissions.import_requests import Plan, TakenRow

STANDARD_INPUT = Path("-")
BROKEN_OFF = 3
"""The exit code of a run that took some rows but not all."""


@click.command(
    cls=Command,
    epilog="""\b
Exit codes:
  0  every row is there now (with --dry-run: would be)
  1  something is wrong, each row is named on standard error, and nothing was taken
  2  the command line is wrong
  3  the run was interrupted: run the same command again to continue""",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything and report what would be taken, but take nothing.")
@click.option("--again", is_flag=True, help="Submit rows once more that were submitted before.")
@click.option("--digits-are-right", is_flag=True, help="Accept numeric ids that differ in length or end in zeros.")
@click.option("--lenient", is_flag=True, help="Take rows even if the account's catalogue does not list what they name.")
@click.option("--yes", is_flag=True, help="Do not ask about probable mistakes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line for each row, problem and doubt.")
def submit(
    file: Path, *, dry_run: bool, again: bool, digits_are_right: bool, lenient: bool, yes: bool, as_json: bool
) -> None:
    """Request the appointments in FILE, a CSV whose header names Cobalt's fields, and `account` if needed.

    `-` is standard input. UTF-8 and Excel's UTF-16, commas, semicolons and tabs are understood. All rows are checked
    first. If one is wrong, or looks damaged by a spreadsheet, none is taken.

    Prints the ids, in the order of the rows. A row that was submitted before, in whatever file, gets the id it has, so
    running a file again shows the outcomes. Patient, start, provider, location, type and account identify a row.
    """
    engine = open_engine(settings := AccountSettings.from_env())
    report = Report("standard input" if file == STANDARD_INPUT else file.name, as_json=as_json)
    with transaction(engine) as session:
        accounts = account_timezones(session, settings)
        found = {name: find_catalogue(session, settings, name) for name in accounts if not lenient}
    try:
        checked = check_import(
            read_request_file(_read(file)),
            accounts,
            {name: one for name, one in found.items() if one},
            digits_are_right=digits_are_right,
        )
    except UnreadableFileError as error:
        report.end(str(error))
    if checked.problems:
        report.refuse(checked.problems)
    plan = plan_import(engine, checked.rows, again=again)
    doubts = _doubts(engine, checked, plan)
    report.doubt(doubts)
    if dry_run:
        report.rows([plan.outlook(row) for row in checked.rows])
        report.sum_up(dry_run=True)
        return
    if doubts and not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Take all rows anyway?", abort=True, err=True)
    _take(engine, checked.rows, plan, report)


def _read(file: Path) -> bytes:
    return sys.stdin.buffer.read() if file == STANDARD_INPUT else file.read_bytes()


def _doubts(engine: Engine, checked: Checked, plan: Plan) -> list[Problem]:
    """Report probable mistakes, in the file or in combination with what exists already."""
    new = [row for row in checked.rows if plan.known_of(row) is None]
    there = find_same_start(engine, new)
    return sorted(
        checked.doubts + [Problem(line, "", f"names the patient and start of {one}") for line, one in there.items()]
    )


def _take(engine: Engine, rows: Sequence[WantedRow], plan: Plan, report: Report) -> None:
    console = Console(stderr=True)
    try:
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("submitting", total=len(rows))
            for taken in take_rows(engine, rows, copy=plan.copy, by=os_user()):
                report.rows(taken)
                progress.advance(task, len(taken))
    except (KeyboardInterrupt, DatabaseUnavailableError) as error:
        why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        again = "run the same command again to go on"
        report.end(f"broke off after {report.count} of {len(rows)} rows ({why}); {again}", BROKEN_OFF)
    report.sum_up()


@dataclass(slots=True)
class Report:
    """What a command reports, to a person or a program.

    Args:
        name: Of the file.
        as_json: Whether a program reads it.
    """

    name: str
    as_json: bool
    new: int = 0
    known: int = 0
    failed: int = 0

    @property
    def count(self) -> int:
        """The number of rows reported."""
        return self.new + self.known

    def refuse(self, problems: Sequence[Problem]) -> NoReturn:
        """Report what is wrong, and exit."""
        for problem in problems:
            self._tell(problem, "problem")
        lines = len({problem.line for problem in problems})
        self.end(f"{lines} {'line is' if lines == 1 else 'lines are'} wrong; nothing was taken")

    def doubt(self, doubts: Sequence[Problem]) -> None:
        """Report a probable mistake."""
        for one in doubts:
            self._tell(one, "doubt")

    def _tell(self, problem: Problem, kind: str) -> None:
        if self.as_json:
            click.echo(json.dumps({"line": problem.line, "field": problem.field or None, kind: problem.detail}))
            return
        where = f"{problem.field}: " if problem.field else ""
        note = "warning: " if kind == "doubt" else ""
        click.echo(f"{self.name}: line {problem.line}: {note}{where}{problem.detail}", err=True)

    def rows(self, rows: Sequence[TakenRow]) -> None:
        """Report what became of rows."""
        for row in rows:
            known = row.known
            self.new += known is None
            self.known += known is not None
            self.failed += known is not None and known.status == "failed"
            if self.as_json:
                click.echo(json.dumps(_as_json(row)))
                continue
            if row.appointment_id:
                click.echo(row.appointment_id)
            if known:
                status = f"{known.status} ({known.failure_category})" if known.failure_category else known.status
                since = known.imported_at.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
                click.echo(f"{self.name}: line {row.line}: requested on {since}: {status}", err=True)

    def sum_up(self, *, dry_run: bool = False) -> None:
        """Summarise in one line what was done."""
        said = f"{self.new} would be taken" if dry_run else f"{self.new} taken"
        if self.known:
            said += f", {self.known} had been asked for before"
        if self.failed:
            said += f" ({self.failed} failed: correct or resubmit them, or ask anew with --again)"
        click.echo(f"{self.name}: {said}", err=True)

    def end(self, message: str, code: int = 1) -> NoReturn:
        """Exit with a message."""
        click.echo(f"{self.name}: {message}", err=True)
        sys.exit(code)


def _as_json(row: TakenRow) -> dict[str, object]:
    known = row.known
    return {
        "line": row.line,
        "id": row.appointment_id,
        "new": known is None,
        "status": known.status if known else "processing",
        "failure_category": known and known.failure_category,
        "asked_at": known and known.imported_at.astimezone(UTC).isoformat(),
    }


COMMANDS = (submit,)
