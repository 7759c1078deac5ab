"""Commands for what each account's EHR knows."""

from __future__ import annotations

import click

from service.cli.context import open_engine
from service.cli.listing import json_option, show
from service.cli.strictness import Command, Group
from service.cobalt import Cobalt
from service.config import AccountSettings, CobaltSettings
from service.domain.catalogue import KINDS
from service.errors import NotFoundError
from service.postgres.engine import transaction
from service.postgres.queries import catalogues
from service.usecases.access.accounts import account_timezones
from service.usecases.access.catalogues import fetch_catalogue, switch_preflight


@click.group(cls=Group)
def catalogue() -> None:
    """Look at what an account's EHR knows: providers, locations and visit types."""


@catalogue.command(cls=Command)
@click.option("--account", help="Only this account; the default is all.")
def refresh(account: str | None) -> None:
    """Fetch the catalogues from Cobalt now, without waiting for a worker."""
    settings = CobaltSettings.from_env()
    engine = open_engine(settings)
    with transaction(engine) as session:
        names = [account] if account else list(account_timezones(session, settings))
    with Cobalt(settings) as client:
        for name in names:
            found = fetch_catalogue(engine, settings, client, name)
            click.echo(f"{name}: " + ", ".join(f"{found[kind]} {kind.replace('_', ' ')}" for kind in KINDS))


@catalogue.command("show", cls=Command)
@click.argument("account")
@json_option
def show_catalogue(account: str, *, as_json: bool) -> None:
    """Show what ACCOUNT's EHR knows. Requests name these ids."""
    with transaction(open_engine()) as session:
        row = catalogues.find_catalogue(session, account)
        listed = catalogues.listed(row) if row else None
    if listed is None:
        raise NotFoundError(f"no catalogue of {account!r} has been fetched yet; run `catalogue refresh`")
    fetched_at = f"{listed.fetched_at:%Y-%m-%dT%H:%M:%SZ}"
    columns = ("kind", "id", "name", "fetched_at")
    rows = [
        dict(zip(columns, (kind, entry.id, entry.name, fetched_at), strict=True))
        for kind in KINDS
        for entry in listed.entries[kind]
    ]
    show(columns, rows, as_json=as_json)


@catalogue.command(cls=Command)
@click.argument("account")
@click.argument("state", type=click.Choice(["on", "off"]))
def preflight(account: str, state: str) -> None:
    """Turn the check of requests for ACCOUNT against its catalogue on or off."""
    settings = AccountSettings.from_env()
    with transaction(open_engine(settings)) as session:
        switch_preflight(session, settings, account, on=state == "on")


COMMANDS = (catalogue,)
