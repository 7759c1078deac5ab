"""Commands for authentic bytes that could not be read."""

from __future__ import annotations

import sys

import click
from rich.table import Table

from service.cli.context import open_engine, os_user
from service.cli.context import show as show_table
from service.db import driver, transaction
from service.store import quarantine as store
from service.store.audit import Access
from service.usecases.replay import replay as replay_one


@click.group()
def quarantine() -> None:
    """Look at what could not be read, and read it again after a fix."""


@quarantine.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_quarantined(limit: int) -> None:
    """List records, newest first, without their content."""
    table = Table("id", "received", "bytes", "deliveries", "reason", "event")
    with transaction(open_engine()) as session:
        for one in store.list_quarantined(session, after=None, limit=limit):
            table.add_row(
                one.id,
                one.received_at.isoformat(timespec="seconds"),
                str(len(one.raw)),
                str(one.deliveries),
                one.reason,
                one.event_id or "",
            )
    show_table(table)


@quarantine.command()
@click.argument("quarantined_id")
@click.option("--content", is_flag=True, help="Show the bytes too: they may hold patients' data.")
def show(quarantined_id: str, *, content: bool) -> None:
    """Show one record. Who has its content shown is recorded; see `audit`."""
    with transaction(open_engine()) as session:
        one = store.find_quarantined(session, quarantined_id)
        if one is None:
            sys.exit(f"there is nothing in quarantine under {quarantined_id}")
        if content:
            Access(os_user(), "quarantine show --content").record(driver(session), [one.id])
    click.echo(f"received {one.received_at.isoformat()} from {one.source}, {len(one.raw)} bytes")
    click.echo(f"reason: {one.reason}")
    if content:
        click.echo(one.raw.decode("utf-8", "backslashreplace"))


@quarantine.command()
@click.argument("quarantined_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that no replay could read yet.")
def replay(quarantined_ids: tuple[str, ...], *, everything: bool) -> None:
    """Read records again; any number of times, each event is applied once."""
    if bool(quarantined_ids) == everything:
        raise click.UsageError("name records, or give --all")
    engine = open_engine()
    if everything:
        with transaction(engine) as session:
            quarantined_ids = tuple(store.waiting_ids(session))
    for quarantined_id in quarantined_ids:
        disposition, event_id = replay_one(engine, quarantined_id)
        click.echo(f"{quarantined_id}  {disposition.value}  {event_id or ''}".rstrip())


COMMANDS = (quarantine,)
