"""Commands for authentic bytes that could not be taken as an event."""

from __future__ import annotations

import json
import sys
from datetime import UTC

import click

from service.cli.context import open_engine, os_user
from service.cli.listing import json_option
from service.cli.listing import show as show_rows
from service.cli.strictness import Group
from service.postgres.engine import driver, transaction
from service.postgres.queries import quarantine as store
from service.postgres.queries.audit import Access
from service.usecases.events.replay import accept_within, dismiss_within
from service.usecases.events.replay import replay as replay_one

REPLAYED = ("id", "disposition", "event_id")


@click.group(cls=Group)
def quarantine() -> None:
    """List what could not be taken as an event, and decide about it."""


@quarantine.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_quarantined(limit: int, *, as_json: bool) -> None:
    """List records, newest first, without their content."""
    columns = ("id", "received_at", "bytes", "deliveries", "reason", "contradicts", "event_id", "dismissed_at")
    with transaction(open_engine()) as session:
        rows = [
            {
                "id": one.id,
                "received_at": one.received_at,
                "bytes": len(one.raw),
                "deliveries": one.deliveries,
                "reason": one.reason,
                "contradicts": one.contradicts,
                "event_id": one.event_id,
                "dismissed_at": one.dismissed_at,
            }
            for one in store.list_quarantined(session, after=None, limit=limit)
        ]
    show_rows(columns, rows, as_json=as_json)


@quarantine.command()
@click.argument("quarantined_id")
@click.option("--content", is_flag=True, help="Also show the bytes, which may hold patients' data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def show(quarantined_id: str, *, content: bool, as_json: bool) -> None:
    """Show one record. Showing its content is recorded; see `audit`."""
    with transaction(open_engine()) as session:
        one = store.find_quarantined(session, quarantined_id)
        if one is None:
            sys.exit(f"there is no {quarantined_id} in quarantine")
        if content:
            Access(os_user(), "quarantine show --content").record(driver(session), [one.id])
    shown = {
        "id": one.id,
        "received_at": one.received_at.astimezone(UTC).isoformat(),
        "source": one.source,
        "bytes": len(one.raw),
        "reason": one.reason,
        "contradicts": one.contradicts,
        "decided_by": one.decided_by,
    }
    if content:
        shown |= {
            "said_digest": one.said_digest and one.said_digest.hex(),
            "recorded_digest": one.recorded_digest and one.recorded_digest.hex(),
            "content": one.raw.decode("utf-8", "backslashreplace"),
        }
    if as_json:
        click.echo(json.dumps(shown))
        return
    click.echo(f"received {shown['received_at']} from {one.source}, {len(one.raw)} bytes")
    for name in ("reason", "contradicts", "decided_by", "said_digest", "recorded_digest"):
        if shown.get(name):
            click.echo(f"{name.replace('_', ' ')}: {shown[name]}")
    if content:
        click.echo(shown["content"])


@quarantine.command()
@click.argument("quarantined_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All records that no replay could read yet.")
@json_option
def replay(quarantined_ids: tuple[str, ...], *, everything: bool, as_json: bool) -> None:
    """Read records again. Each event is applied once, however often it is replayed."""
    if bool(quarantined_ids) == everything:
        raise click.UsageError("name records, or give --all")
    engine = open_engine()
    if everything:
        with transaction(engine) as session:
            quarantined_ids = tuple(store.waiting_ids(session))
    replayed = ((one, *replay_one(engine, one)) for one in quarantined_ids)
    show_rows(REPLAYED, (dict(zip(REPLAYED, row, strict=True)) for row in replayed), as_json=as_json)


@quarantine.command()
@click.argument("quarantined_id")
@json_option
def accept(quarantined_id: str, *, as_json: bool) -> None:
    """Accept records that contradict a known event as events of their own.

    The rule decides between the two. Look at both first: `show --content`, and the timeline of the appointment.
    """
    with transaction(open_engine()) as session:
        accepted = (quarantined_id, *accept_within(session, quarantined_id, person=os_user()))
    show_rows(REPLAYED, [dict(zip(REPLAYED, accepted, strict=True))], as_json=as_json)


@quarantine.command()
@click.argument("quarantined_ids", nargs=-1, required=True)
def dismiss(quarantined_ids: tuple[str, ...]) -> None:
    """Mark records as done; they are kept, but no longer wait."""
    with transaction(open_engine()) as session:
        for quarantined_id in quarantined_ids:
            dismiss_within(session, quarantined_id, person=os_user())


COMMANDS = (quarantine,)
