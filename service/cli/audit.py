"""The command that shows who saw patients' data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from service.cli.context import Duration, open_engine
from service.cli.listing import json_option, show
from service.cli.strictness import Command
from service.postgres.engine import transaction
from service.postgres.queries import audit as store

COLUMNS = ("at", "reader", "key_id", "operation", "filters", "record_ids", "request_id")
SHOWN = 3
"""Ids of a read that the table shows; `--json` has all."""

_time = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command(cls=Command)
@click.option("--key", help="Only reads by this API key (its id or name) or by this OS user.")
@click.option(
    "--appointment", "record_id", help="Only reads that showed this appointment, event or quarantined record."
)
@click.option("--since", type=Duration(), help="Only the last 12h, 30d or 8w.")
@click.option("--from", "first", type=_time, help="Only from this date or time on, in UTC.")
@click.option("--to", "last", type=_time, help="Only before this date or time, in UTC.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The most rows to show.")
@json_option
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
    names = [column for column in COLUMNS if column != "record_ids"]
    rows = (
        {name: getattr(read, name) for name in names}
        | {"record_ids": read.record_ids if as_json else _in_short(read.record_ids)}
        for read in reads
    )
    show(COLUMNS, rows, as_json=as_json)


def _in_short(record_ids: list[str]) -> list[str]:
    more = [f"and {len(record_ids) - SHOWN} more"] if len(record_ids) > SHOWN else []
    return record_ids[:SHOWN] + more


COMMANDS = (audit,)
