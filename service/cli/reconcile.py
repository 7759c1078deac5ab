"""Commands that find missed outcomes: by asking Cobalt at once, or by a person's decision."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import track

from service.cli.context import Duration, open_engine, os_user
from service.cli.listing import json_option, show
from service.cli.strictness import Command
from service.cobalt import Cobalt
from service.config import Settings, read_setting
from service.domain.comparing import comparable
from service.errors import AppointmentsError, CobaltError
from service.postgres.engine import transaction
from service.postgres.queries import asking
from service.postgres.queries.decisions import Person
from service.usecases.events.dismiss_event import dismiss_event
from service.usecases.submissions.adopt import abandon_by_hand, adopt_by_hand
from service.usecases.submissions.ask_cobalt import Asker

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(cls=Command)
@click.option(
    "--since", type=Duration(), default="7d", show_default=True, help="How far back to look, such as 12h or 7d."
)
@click.option("--dry-run", is_flag=True, help="Only list what Cobalt would be asked about.")
@json_option
def reconcile(since: timedelta, *, dry_run: bool, as_json: bool) -> None:
    """Ask Cobalt at once about everything that was sent and has no outcome.

    First by one walk over all events of each account in that time, then one by one about what that leaves open.
    """
    settings = Settings.from_env()
    engine = open_engine(settings)
    with transaction(engine) as session:
        questions = asking.open_questions(session, since=datetime.now(UTC) - since)
    if dry_run:
        columns = ("appointment_id", "submission", "sent_at")
        rows = ({name: getattr(question, name) for name in columns} for question in questions)
        show(columns, rows, as_json=as_json)
        click.echo(f"{len(questions)} would be asked about", err=True)
        return
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    with Cobalt(settings) as client:
        asker = Asker(engine, settings, client)
        _sweep(asker, sorted({question.account for question in questions}), datetime.now(UTC) - since, console)
        for question in track(questions, "asking Cobalt", console=console, disable=not console.is_terminal):
            try:
                counts[asker.ask(question)] += 1
            except CobaltError as error:
                console.print(f"{question.appointment_id}: {error}", markup=False, soft_wrap=True)
                counts["no answer"] += 1
            except AppointmentsError as error:
                console.print(f"{question.appointment_id}: {error}", markup=False, soft_wrap=True)
                counts["could not ask"] += 1
    if as_json:
        click.echo(json.dumps(counts))
    else:
        click.echo(", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing to ask about")


def _sweep(asker: Asker, accounts: Sequence[str], since: datetime, console: Console) -> None:
    for account in accounts:
        try:
            asker.sweeper.sweep(account, since=since)
        except AppointmentsError as error:
            console.print(f"{account}: {error}", markup=False, soft_wrap=True)


_why = click.option("--why", help="The reason; the timeline shows it to callers with the scope `phi`.")


def _pasted(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    """Strip what is copied along with an id from a web page: no event would name such an id."""
    found = comparable(value)
    if not found:
        raise click.BadParameter("is blank")
    return found


@click.command(cls=Command)
@click.argument("appointment_id")
@click.argument("cobalt_appointment_id", callback=_pasted)
@_why
def adopt(appointment_id: str, cobalt_appointment_id: str, why: str | None) -> None:
    """Decide that an unconfirmed APPOINTMENT_ID is COBALT_APPOINTMENT_ID at Cobalt.

    Look at the candidates that the API shows, or into the EHR, first. The decision is recorded with your name.
    """
    adopt_by_hand(
        open_engine(),
        appointment_id,
        cobalt_appointment_id,
        person=Person(os_user(), why),
        ask_after=read_setting("ask_after"),
    )


@click.command(cls=Command)
@click.argument("appointment_id")
@_why
def abandon(appointment_id: str, why: str | None) -> None:
    """Decide that APPOINTMENT_ID, which waits for Cobalt, has failed; it can then be resubmitted.

    Use it if none of the candidates is the appointment, or if its outcome was lost. Look into the EHR first. The
    decision is recorded with your name, and the candidates are not suggested again.
    """
    abandon_by_hand(open_engine(), appointment_id, person=Person(os_user(), why))


@click.command(cls=Command)
@click.argument("event_id")
@_why
def dismiss(event_id: str, why: str | None) -> None:
    """Decide that EVENT_ID, which is of another account, is not about the appointment whose id it names.

    It no longer waits, and settles nothing. If the account is the same clinic, linked again, use `accounts reference`
    instead. The decision is recorded with your name.
    """
    dismiss_event(open_engine(), event_id, person=Person(os_user(), why))


COMMANDS = (reconcile, adopt, abandon, dismiss)
