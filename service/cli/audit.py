"""The command that shows who saw patients' data."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.table import Table

from service.cli.context import Duration, open_engine, show
from service.db import transaction
from service.store import audit as store

if TYPE_CHECKING:
    from service.models import PhiRead

SHOWN = 3
"""Ids of a read in the table; `--json` has all."""

_time = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.option("--key", help="Only reads by this key, by its id or name, or by this OS user.")
@click.option(
    "--appointment", "record_id", help="Only reads that showed this appointment, event or quarantined record."
)
@click.option("--since", type=Duration(), help="Only the latest: 12h, 30d or 8w.")
@click.option("--from", "first", type=_time, help="Only from this day or time on, in UTC.")
@click.option("--to", "last", type=_time, help="Only before this day or time, in UTC.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, in place of a table.")
def audit(
    *,
    key: str | None,
    record_id: str | None,
    since: timedelta | None,
    first: datetime | None,
    last: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show who saw patients' data unmasked, newest first: when, by which request, and whose."""
    if since and first:
        raise click.UsageError("give --since or --from, not both")
    with transaction(open_engine()) as session:
        reads = store.list_reads(
            session,
            key=key,
            record_id=record_id,
            since=datetime.now(UTC) - since if since else first and first.replace(tzinfo=UTC),
            until=last and last.replace(tzinfo=UTC),
            limit=limit,
        )
    if as_json:
        for read in reads:
            click.echo(json.dumps(_as_json(read)))
        return
    table = Table("at", "reader", "key", "operation", "filters", "shown", "request")
    for read in reads:
        more = [f"and {len(read.record_ids) - SHOWN} more"] if len(read.record_ids) > SHOWN else []
        table.add_row(
            read.at.astimezone(UTC).isoformat(timespec="seconds"),
            read.reader,
            read.key_id or "",
            read.operation,
            " ".join(read.filters),
            " ".join(read.record_ids[:SHOWN] + more),
            read.request_id or "",
        )
    show(table)


def _as_json(read: PhiRead) -> dict[str, object]:
    return {
        "at": read.at.astimezone(UTC).isoformat(),
        "reader": read.reader,
        "key_id": read.key_id,
        "request_id": read.request_id,
        "operation": read.operation,
        "filters": read.filters,
        "record_ids": read.record_ids,
    }


COMMANDS = (audit,)
