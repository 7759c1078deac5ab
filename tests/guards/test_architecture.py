"""The map in docs/architecture.md shows the code as it is."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "architecture.md").read_text()
FLOWS = ("submit", "webhook", "read", "ask")
STEP = re.compile(r"^\d+\. `(service/[\w/]+\.py)` ((?:`[\w.]+`(?:, )?)+):", re.MULTILINE)


def section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def definitions(path: Path) -> set[str]:
    """The names of a module's functions and classes, and of methods as ``Class.method``."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {node.name} | {f"{node.name}.{method.name}" for method in methods}
    return found


@pytest.mark.parametrize("flow", FLOWS)
def test_each_step_of_a_flow_names_functions_that_there_are(flow: str) -> None:
    text = section(f"Flow: {flow}")
    steps = STEP.findall(text)
    assert len(steps) == len(re.findall(r"^\d+\. ", text, re.MULTILINE)) > 8
    for path, names in steps:
        missing = set(re.findall(r"`([\w.]+)`", names)) - definitions(PROJECT / path)
        assert not missing, path


def test_every_path_that_is_named_exists() -> None:
    for name in re.findall(r"`((?:service|migrations|deploy|tests)/[\w/.]*)`", PAGE):
        assert (PROJECT / name).exists(), name


def test_every_page_that_is_named_exists() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGE):
        assert (PROJECT / "docs" / target).exists(), target


def test_every_room_is_described_once() -> None:
    described = re.findall(r"^\| `(service/[\w/]+)/` \| \S", section("Rooms"), re.MULTILINE)
    rooms = {str(one.parent.relative_to(PROJECT)) for one in PROJECT.glob("service/*/**/__init__.py")}
    assert sorted(described) == sorted(rooms)


def test_the_order_of_imports_is_the_one_that_is_enforced() -> None:
    [layers] = [
        contract["layers"]
        for contract in tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["service"]
    ]
    shown = re.search(r"```\n(.*?)\n```", section("Which way imports point"), re.DOTALL)
    assert shown is not None
    assert shown[1].splitlines() == layers
