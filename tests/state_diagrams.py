"""Draws the three state machines for docs/states.md from their tables; run it to write the page again."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.domain import account_health
from service.domain.account_health import Health
from service.domain.states import RULE, Said, Standing, Status, Verdict, begin_attempt, refuse, reopen
from service.domain.submission import FIRST, TRANSITIONS, Cause, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PAGE = Path(__file__).parents[1] / "docs" / "states.md"
_BLOCK = re.compile(r"<!-- (?P<name>\w+) -->\n.*?<!-- end -->", re.DOTALL)
_MOVES = {Verdict.SETTLE: "", Verdict.LATER: ", later", Verdict.EARLIER: ", earlier"}
_REFUSED = refuse(Standing(), datetime(2025, 1, 1, tzinfo=UTC))


def written(page: str) -> str:
    """Return the page with its blocks as the tables are now."""
    return _BLOCK.sub(lambda block: f"<!-- {block['name']} -->\n\n{_BLOCKS[block['name']]()}\n\n<!-- end -->", page)


def _status() -> str:
    moves = [
        (before, Status.CREATED if said is Said.CREATED else Status.FAILED, f"{said}{_MOVES[verdict]}")
        for (before, said), verdict in RULE.items()
        if verdict in _MOVES
    ]
    moves += [
        (Standing().status, _REFUSED.status, "Cobalt refuses the call, or it is given up"),
        (_REFUSED.status, begin_attempt(_REFUSED).status, "a person corrects or resubmits"),
        (_REFUSED.status, reopen(_REFUSED).status, "Cobalt has what was given up"),
    ]
    return f"{_diagram(Standing().status, moves)}\n\n{_table('status', Status, Said, RULE)}"


def _submission() -> str:
    moves = [(before, after, cause) for (before, cause), after in TRANSITIONS.items()]
    return f"{_diagram(FIRST, moves)}\n\n{_table('submission', Submission, Cause, TRANSITIONS)}"


def _health() -> str:
    moves = [
        (before, after, cause) for (before, cause), after in account_health.TRANSITIONS.items() if before is not after
    ]
    return (
        f"{_diagram(account_health.Standing().health, moves)}\n\n"
        f"{_table('health', Health, account_health.Cause, account_health.TRANSITIONS)}"
    )


def _diagram(first: str, moves: Iterable[tuple[str, str, str]]) -> str:
    labels: dict[tuple[str, str], list[str]] = {}
    for before, after, label in moves:
        labels.setdefault((before, after), []).append(label)
    arrows = [f"    {before} --> {after}: {' / '.join(found)}" for (before, after), found in labels.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, "```"])


def _table(name: str, rows: Iterable[str], columns: Iterable[str], cells: Mapping[tuple[Any, Any], str]) -> str:
    titles = list(columns)
    lines = [f"| {' | '.join([name, *titles])} |", "|---" * (len(titles) + 1) + "|"]
    for row in rows:
        found = [f"`{row}`", *(cells.get((row, column), "") for column in titles)]
        lines.append(f"| {' | '.join(found)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(lines)


_BLOCKS: Mapping[str, Callable[[], str]] = {"status": _status, "submission": _submission, "health": _health}

if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
