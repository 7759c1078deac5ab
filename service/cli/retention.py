"""The command that removes old data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.cli.context import Duration, open_engine
from service.cli.listing import json_option, show
from service.cli.strictness import Command
from service.postgres.queries.retention import Limits
from service.usecases.upkeep.retention import count_due, count_unread, remove_due

STATEMENT_TIMEOUT = timedelta(hours=1)
"""The time-out for one statement: a count reads whole tables."""


@click.command(cls=Command)
@click.option("--keep", type=Duration(), required=True, help="How long settled appointments are kept, such as 400d.")
@click.option("--keep-payloads", type=Duration(), help="How long Cobalt's words and notes are kept; default as --keep.")
@click.option("--dry-run", is_flag=True, help="Only count what would be removed.")
@json_option
def retention(keep: timedelta, keep_payloads: timedelta | None, *, dry_run: bool, as_json: bool) -> None:
    """Remove old data: settled appointments with all their history, and before that the contents of events and
    notes.

    It keeps what is processing or waiting, and the id of every event, so that an event that is sent again is still a
    duplicate. It also keeps the record of who read patients' data. You may interrupt it, and run it beside the service.
    """  # noqa: D205 (click makes one paragraph of it)
    keep_payloads = keep_payloads or keep
    if keep_payloads > keep:
        raise click.UsageError("--keep-payloads cannot be longer than --keep: the appointment would be gone")
    now = datetime.now(UTC)
    limits = Limits(now - keep, now - keep_payloads)
    engine = open_engine(statement_timeout=STATEMENT_TIMEOUT)
    due = count_due(engine, limits)
    if dry_run:
        _report("would_be_removed", due, as_json=as_json)
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            tasks = {name: progress.add_task(name, total=total) for name, total in due.items()}
            removed = remove_due(engine, limits, on_progress=lambda kind, count: progress.advance(tasks[kind], count))
        _report("removed", removed, as_json=as_json)
    if unread := count_unread(engine, limits):
        click.echo(f"{unread} quarantined records were kept, because no replay could read them yet", err=True)


def _report(column: str, counts: dict[str, int], *, as_json: bool) -> None:
    rows = [{"kind": kind, column: count} for kind, count in counts.items()]
    show(("kind", column), rows, as_json=as_json)


COMMANDS = (retention,)
