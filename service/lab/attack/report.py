"""The report of an attack: a table for people and, as JSON, for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.lab.attack.finding import Finding
from service.lab.attack.plan import Plan

STYLES = {"holds": "green", "HURTS": "bold red", "not tried": "yellow"}

Found = Mapping[str, Sequence[Finding]]


def print_report(console: Console, found: Found) -> None:
    """Print what was tried, what came, what the limit is, and the verdict."""
    table = Table("what was tried", "what came", "what the limit is", "verdict")
    for findings in found.values():
        for one in findings:
            table.add_row(Text(one.tried), Text(one.came), Text(one.limit), Text(one.verdict, STYLES[one.verdict]))
        table.add_section()
    console.print(table)


def write_report(path: Path, plan: Plan, found: Found, *, passed: bool) -> None:
    """Write all of it."""
    content = {
        "passed": passed,
        "short": plan.short,
        "connections": plan.connections,
        "parts": {
            part: [{**asdict(one), "verdict": one.verdict} for one in findings] for part, findings in found.items()
        },
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
