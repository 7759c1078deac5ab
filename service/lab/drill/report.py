"""The account of a drill for people and, as JSON, for programs."""

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.lab.drill.account import PLACES, Account
from service.lab.drill.plan import Plan

EXAMPLES = 5  # of each defect


def print_account(console: Console, account: Account, counts: Mapping[str, float]) -> None:
    """Print where everything is, what must be 0, and what else is worth knowing."""
    noted = Table("what happened", "", box=None)
    for name, count in {**counts, **account.noted}.items():
        noted.add_row(Text(name), f"{count:g}")
    zeros = Table("what must be 0", "", box=None)
    for name, cases in account.defects.items():
        zeros.add_row(Text(name), Text(str(len(cases)), style="red" if cases else "green"))
    for table in (noted, zeros):
        console.print(table)
        console.print()
    places = " + ".join(f"{account.places[place]} {place}" for place in PLACES)
    sign = "=" if account.is_complete else "≠"
    console.print(f"{account.submitted} submitted {sign} {places}", markup=False)
    for name, cases in account.defects.items():
        for case in cases[:EXAMPLES]:
            console.print(f"{name}: {case}", style="red", markup=False, soft_wrap=True)
        if len(cases) > EXAMPLES:
            console.print(f"{name}: and {len(cases) - EXAMPLES} more", style="red", markup=False)


def write_account(path: Path, plan: Plan, account: Account, counts: Mapping[str, float], *, passed: bool) -> None:
    """Write all of it, with every case."""
    content = {
        "passed": passed,
        "seed": plan.seed,
        "faults": dict(plan.faults),
        "submitted": account.submitted,
        "places": {place: account.places[place] for place in PLACES},
        "defects": account.defects,
        "noted": {**counts, **account.noted},
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
