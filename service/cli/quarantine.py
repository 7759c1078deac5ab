"""Commands for authentic bytes that could not be read."""

from __future__ import annotations

import json
import sys
from datetime import UTC

import click

from service.cli.context import open_engine, os_user
from service.cli.listing import json_option
from service.cli.listing import show as show_rows
from service.db import driver, transaction
from service.store import quarantine as store
from service.store.audit import Access
from service.usecases.replay import replay as replay_one


@click.group()
def quarantine() -> None:
    """Look at what could not be read, and read it again after a fix."""


@quarantine.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_quarantined(limit: int, *, as_json: bool) -> None:
    """List records, newest first, without their content."""
    with transaction(open_engine()) as session:
        rows = [
            {
                "id": one.id,
                "received_at": one.received_at,
                "bytes": len(one.raw),
                "deliveries": one.deliveries,
                "reason": one.reason,
                "event_id": one.event_id,
            }
            for one in store.list_quarantined(session, after=None, limit=limit)
        ]
    show_rows(("id", "received_at", "bytes", "deliveries", "reason", "event_id"), rows, as_json=as_json)


@quarantine.command()
@click.argument("quarantined_id")
@click.option("--content", is_flag=True, help="Show the bytes too: they may hold patients' data.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, in place of lines.")
def show(quarantined_id: str, *, content: bool, as_json: bool) -> None:
    """Show one record. Who has its content shown is recorded; see `audit`."""
    with transaction(open_engine()) as session:
        one = store.find_quarantined(session, quarantined_id)
        if one is None:
            sys.exit(f"there is nothing in quarantine under {quarantined_id}")
        if content:
            Access(os_user(), "quarantine show --content").record(driver(session), [one.id])
    text = one.raw.decode("utf-8", "backslashreplace") if content else None
    if as_json:
        shown = {
            "id": one.id,
            "received_at": one.received_at.astimezone(UTC).isoformat(),
            "source": one.source,
            "bytes": len(one.raw),
            "reason": one.reason,
        }
        click.echo(json.dumps(shown | ({"content": text} if content else {})))
        return
    click.echo(f"received {one.received_at.isoformat()} from {one.source}, {len(one.raw)} bytes")
    click.echo(f"reason: {one.reason}")
    if text is not None:
        click.echo(text)


@quarantine.command()
@click.argument("quarantined_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that no replay could read yet.")
@json_option
def replay(quarantined_ids: tuple[str, ...], *, everything: bool, as_json: bool) -> None:
    """Read records again; any number of times, each event is applied once."""
    if bool(quarantined_ids) == everything:
        raise click.UsageError("name records, or give --all")
    engine = open_engine()
    if everything:
        with transaction(engine) as session:
            quarantined_ids = tuple(store.waiting_ids(session))
    columns = ("id", "disposition", "event_id")
    replayed = ((one, *replay_one(engine, one)) for one in quarantined_ids)
    show_rows(columns, (dict(zip(columns, row, strict=True)) for row in replayed), as_json=as_json)


COMMANDS = (quarantine,)
