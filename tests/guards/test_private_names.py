"""What belongs to a library alone, and is used all the same, is named here with its reason; new uses fail."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import service

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
FILES = [
    *(path for folder in ("service", "deploy", "migrations") for path in (PROJECT / folder).rglob("*.py")),
    PROJECT / "wsgi.py",
]
ATTRIBUTES = {
    ("service/telemetry/tallies.py", "_buckets"): "prometheus-client's histograms have no way to observe many values",
    ("service/telemetry/tallies.py", "_sum"): "the same",
}
DOCUMENTED = {
    "psycopg": {"", "abc", "conninfo", "errors", "pq", "pq.abc", "rows", "sql", "types.json"},
    "prometheus_client": {"", "core", "exposition", "multiprocess", "parser"},
}
"""Modules that the documentation of these libraries names; they have others that are no promise."""
MODULES = {
    ("service/postgres/pipeline.py", "psycopg.generators"): "statements of the door in a row, without cursors (0032)",
    ("service/postgres/loop_wait.py", "psycopg.waiting"): "runs those on the event loop, at a third less cost (0008)",
    ("service/telemetry/metric_files.py", "prometheus_client.mmap_dict"): "adds up what dead processes counted (0015)",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, and every name from one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def test_attributes_of_others_are_named_with_a_reason() -> None:
    # ruff refuses each use of a private attribute, unless its line says that this is meant.
    found = {
        (name_of(path), attribute)
        for path in FILES
        for line in path.read_text().splitlines()
        if "SLF001" in line
        for attribute in re.findall(r"\w\.(_[a-z]\w*)\b", line.partition("#")[0].replace("self._", ""))
    }
    assert found == set(ATTRIBUTES)


def test_modules_that_nobody_documents_are_named_with_a_reason() -> None:
    found = set()
    for path in FILES:
        for name in imports(ast.parse(path.read_text())):
            library, _, module = name.partition(".")
            is_module = library in DOCUMENTED and (not module or find_module(name))
            if is_module and module not in DOCUMENTED[library]:
                found.add((name_of(path), name))
    assert found == set(MODULES)


def find_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_nothing_private_is_imported() -> None:
    found = [
        (name_of(path), name)
        for path in FILES
        for name in imports(ast.parse(path.read_text()))
        if not name.startswith("service") and any(is_private(part) for part in name.split("."))
    ]
    assert found == []


def test_no_class_uses_what_a_library_keeps_private_in_its_base() -> None:
    found = {
        (f"{made.__module__}.{made.__name__}", name)
        for made in our_classes()
        for base in made.__mro__
        if is_foreign(base)
        for name in private_names(base) & private_names(made)
    }
    assert found == set()


def our_classes() -> Iterator[type]:
    for found in pkgutil.walk_packages(service.__path__, "service."):
        if not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            yield from (one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == found.name)


def is_foreign(kind: type) -> bool:
    library = kind.__module__.partition(".")[0]
    return library != "service" and library not in sys.stdlib_module_names


@cache
def private_names(kind: type) -> set[str]:
    """What the body of a class defines or uses of itself under a private name."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):  # in C, or made at run time
        return {name for name in vars(kind) if is_private(name)}
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"self", "cls", "super()"}
    }
    return {name for name in names if is_private(name)}
