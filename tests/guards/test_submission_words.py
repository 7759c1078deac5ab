"""Nobody but the enumeration writes the states of a submission, or the outcomes of a call, as words."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.domain.submission import CallOutcome, Submission

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = Path(__file__).parents[2] / "service"
PLACE = "domain/submission.py"
WORDS = {*Submission, *CallOutcome}
QUOTED = re.compile(rf"'({'|'.join(sorted(WORDS))})'")
COBALTS = {("usecases/submissions/listed.py", word) for word in ("queued", "rejected")}
"""Cobalt's own words for what stands in its list."""


def written(source: str) -> Iterator[str]:
    """Find which of the words stand in a module as texts, or quoted in the text of a statement."""
    tree = ast.parse(source)
    told = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield from {node.value} & WORDS
            yield from QUOTED.findall(node.value)


def test_no_other_module_writes_them() -> None:
    modules = {path.relative_to(SERVICE).as_posix(): path for path in SERVICE.rglob("*.py")}
    found = {
        (name, word)
        for name, path in modules.items()
        if name != PLACE and not name.startswith("lab/")  # the laboratory sees the service from outside
        for word in written(path.read_text())
    }
    assert found == COBALTS, "use service.domain.submission"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('row.submission = "queued"', ["queued"]),
        ("\"SELECT 1 WHERE submission IN ('sending', 'accepted')\"", []),  # a docstring
        ("x = f\"{y} = 1 AND submission <> 'accepted'\"", ["accepted"]),
        ('x = "Cobalt accepted it"', []),
    ],
)
def test_the_search_finds_what_it_should(source: str, found: list[str]) -> None:
    assert list(written(source)) == found
