"""Commands for linked EHR accounts."""

from __future__ import annotations

import sys
from typing import TextIO

import click

from service.cli.context import open_engine, os_user
from service.cli.listing import json_option, show
from service.cli.strictness import Group
from service.config import TIME_FORMATS, AccountSettings, fits_a_header
from service.domain.account_health import Hold
from service.domain.zones import is_zone
from service.postgres.engine import transaction
from service.postgres.queries import account_health
from service.postgres.queries import accounts as store
from service.usecases.access.account_holds import hold_account, resume_account
from service.usecases.access.account_views import AccountView, view_accounts
from service.usecases.access.accounts import add_account, add_reference, remove_account


def _read_token(file: TextIO | None) -> str:
    """Read a token from a file, standard input or a prompt, so that no process list or shell history shows it."""
    if file is None and not sys.stdin.isatty():
        file = sys.stdin
    token = (file.read() if file else click.prompt("Access token", hide_input=True)).strip()
    if not token or not fits_a_header(token):
        raise click.UsageError(
            "the access token must be one line of printable ASCII, because it goes into an HTTP header"
        )
    return str(token)


def _zone(_context: click.Context, _option: click.Parameter, zone: str | None) -> str | None:
    if zone is not None and not is_zone(zone):
        raise click.BadParameter("is not an IANA time zone like America/New_York")
    return zone


@click.group(cls=Group)
def accounts() -> None:
    """Link EHR accounts."""


@accounts.command()
@click.argument("name")
@click.option("--reference", help="Cobalt's access_token_reference_id; the default is the name.")
@click.option(
    "--access-token-file",
    type=click.File(),
    help="Holds the access token; `-` is standard input. Without it, a prompt asks; in a pipe, standard input is read.",
)
@click.option("--time-format", type=click.Choice(TIME_FORMATS), default="as_given", show_default=True)
@click.option("--timezone", callback=_zone, help="IANA zone of the clinics; needed for the time format `datetime`.")
def add(
    name: str, reference: str | None, access_token_file: TextIO | None, time_format: str, timezone: str | None
) -> None:
    """Store an account; its access token is encrypted with the first of ENCRYPTION_KEYS."""
    if time_format == "datetime" and not timezone:
        raise click.UsageError("--timezone is needed with --time-format datetime")
    settings = AccountSettings.from_env()
    access_token = _read_token(access_token_file)
    with transaction(open_engine(settings)) as session:
        add_account(
            session,
            settings,
            name=name,
            reference=reference or name,
            access_token=access_token,
            time_format=time_format,
            timezone=timezone,
        )


@accounts.command("list")
@json_option
def list_accounts(*, as_json: bool) -> None:
    """List the accounts with their health, without their tokens."""
    settings = AccountSettings.from_env()
    found: dict[str, dict[str, object]] = {}
    if settings.cobalt_account:
        own = settings.cobalt_account
        found[own] = {
            "reference": own,
            "time_format": settings.cobalt_time_format,
            "timezone": settings.cobalt_timezone,
            "kept_in": "the environment",
        }
    with transaction(open_engine(settings)) as session:
        others = store.list_references(session)
        holds = account_health.find_holds(session)
        views = {one.name: one for one in view_accounts(session, settings)}
        for account in store.list_accounts(session):
            found.setdefault(
                account.name,
                {
                    "reference": account.reference,
                    "time_format": account.time_format,
                    "timezone": account.timezone,
                    "kept_in": "the table",
                },
            )
    for name in sorted((others.keys() | views.keys()) - found.keys()):
        found[name] = dict.fromkeys(("reference", "time_format", "timezone", "kept_in"))
    rows = [
        {"name": name, **row, "other_references": sorted(others.get(name, set()) - {row["reference"]})}
        | _health(views.get(name), holds.get(name))
        for name, row in found.items()
    ]
    show(COLUMNS, rows, as_json=as_json)


COLUMNS = (
    *("name", "reference", "time_format", "timezone", "kept_in", "other_references"),
    *("health", "since", "reason", "remedy", "queue_length", "oldest_queued_at", "held_by", "held_why"),
)


def _health(view: AccountView | None, hold: Hold | None) -> dict[str, object]:
    queue = view and view.queue
    return {
        "health": view and view.standing.health.value,
        "since": view and view.standing.since,
        "reason": view and view.standing.reason and view.standing.reason.value,
        "remedy": view and view.remedy,
        "queue_length": queue.length if queue else 0,
        "oldest_queued_at": queue and queue.oldest,
        "held_by": hold and hold.by,
        "held_why": hold and hold.why,
    }


@accounts.command()
@click.argument("name")
@click.option("--why", help="Kept, and shown by `accounts list`; no patient's data, please.")
def hold(name: str, why: str | None) -> None:
    """Send nothing for the account NAME from now on, until `accounts resume`.

    What is asked for meanwhile waits. Who holds it is kept.
    """
    settings = AccountSettings.from_env()
    hold_account(open_engine(settings), settings, name, Hold(os_user(), why))


@accounts.command()
@click.argument("name")
def resume(name: str) -> None:
    """Let the account NAME be called again: after a hold, or at once after its login was mended.

    One call tries it; what waits follows when Cobalt answers.
    """
    settings = AccountSettings.from_env()
    resume_account(open_engine(settings), settings, name)


@accounts.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget an account and its token. Its appointments stay, and so does its reference, which their events name."""
    with transaction(open_engine()) as session:
        remove_account(session, name)


@accounts.command("reference")
@click.argument("name")
@click.argument("reference")
def also_called(name: str, reference: str) -> None:
    """Record that Cobalt also calls the account NAME by REFERENCE, because it was linked again.

    From now on, events of that reference belong to the account. Events that waited for this are applied.
    """
    settings = AccountSettings.from_env()
    matched = add_reference(open_engine(settings), settings, name=name, reference=reference.strip())
    click.echo(f"{matched} events waited for this, and were applied")


COMMANDS = (accounts,)
