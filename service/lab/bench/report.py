"""The result of a benchmark for people and, as JSON, for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.lab.bench.course import Outcome
from service.lab.bench.plan import EMPTY, PGBENCH, Plan
from service.lab.bench.scene import Scene
from service.lab.bench.verdict import Aim
from service.postgres.sessions import connect

SHOWN_SETTINGS = ("server_version", "fsync", "synchronous_commit", "wal_sync_method", "shared_buffers")


def describe_machine(scene: Scene) -> dict[str, str]:
    """What it was measured on."""
    with connect(scene.places[0].database_url, autocommit=True) as connection:
        rows = connection.execute("SELECT name, current_setting(name) FROM pg_settings").fetchall()
    settings = {name: value for name, value in rows if name in SHOWN_SETTINGS}
    return {
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: settings[name] for name in SHOWN_SETTINGS},
    }


def print_outcome(console: Console, outcome: Outcome, found: Sequence[Aim]) -> None:
    """Print the tables."""
    for table in (_speed(outcome), _costs(outcome), _memory(outcome), _sizes(outcome), _aims(found)):
        if table.row_count:
            console.print()
            console.print(table)
    for problem in outcome.problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)


def write_outcome(
    path: Path, plan: Plan, outcome: Outcome, found: Sequence[Aim], machine: dict[str, str], *, passed: bool
) -> None:
    """Write all of it, with every round."""
    board = outcome.board
    content = {
        "passed": passed,
        "machine": machine,
        "plan": {**asdict(plan), "sizes": plan.sizes, "body_bytes": round(outcome.body_bytes)},
        "medians": [
            {**asdict(one), "of_pgbench": board.ratio(one.name, PGBENCH), "of_empty": board.ratio(one.name, EMPTY)}
            for one in board.medians()
        ],
        "rounds": {name: [asdict(one) for one in figures] for name, figures in board.figures.items()},
        "start_up_seconds": outcome.start_up,
        "memory_mb": outcome.memory,
        "tables": [asdict(one) for one in outcome.table_sizes],
        "aims": [asdict(one) for one in found],
        "problems": outcome.problems,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _speed(outcome: Outcome) -> Table:
    table = _table("medians", "per second", "p50 ms", "p95 ms", "p99 ms", "max ms", "of pgbench", "of empty", "refused")
    board = outcome.board
    for one in board.medians():
        ratios = [board.ratio(one.name, of) for of in (PGBENCH, EMPTY)]
        table.add_row(
            Text(one.name),
            f"{one.per_second:,.0f}",
            *(f"{wait:,.1f}" for wait in (one.p50, one.p95, one.p99, one.max)),
            *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
            f"{one.refused:.0f}",
        )
    return table


def _costs(outcome: Outcome) -> Table:
    medians = outcome.board.medians()
    names = list(dict.fromkeys(cost for one in medians for cost in one.costs))
    table = _table("each of these costs", *names)
    for one in medians:
        cells = [f"{one.costs[name]:,.1f}" if name in one.costs else "" for name in names]
        table.add_row(Text(one.name), *cells)
    return table


def _memory(outcome: Outcome) -> Table:
    table = _table("processes", "")
    for name, seconds in outcome.start_up.items():
        table.add_row(f"{name}: seconds to start", f"{seconds:.2f}")
    for name, sizes in outcome.memory.items():
        if sizes:
            table.add_row(f"{name}: resident MB", ", ".join(f"{size:.0f}" for size in sizes))
    return table


def _sizes(outcome: Outcome) -> Table:
    table = _table("tables", "appointments at first", "rows", "MB", "indexes MB", "bytes a row", "hot updates")
    for one in outcome.table_sizes:
        both = one.table_bytes + one.index_bytes
        table.add_row(
            one.table,
            f"{one.size:,}",
            f"{one.rows:,}",
            *(f"{part / 1024**2:,.1f}" for part in (one.table_bytes, one.index_bytes)),
            f"{both / max(one.rows, 1):,.0f}",
            f"{one.hot_updates / one.updates:.0%} of {one.updates:,}" if one.updates else "",
        )
    return table


def _aims(found: Sequence[Aim]) -> Table:
    table = _table("what it is to be", "measured", "bound", "")
    for aim in found:
        missed = "MISSED" if aim.required else "not yet"
        sign = Text("met" if aim.met else missed, style="green" if aim.met else "red" if aim.required else "yellow")
        table.add_row(Text(aim.text), f"{aim.value:.2f}", f"{aim.bound:g}", sign)
    return table
