"""What the README says is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import click
import pytest

from service.cli import cli
from service.config import Settings
from service.usecases.events import take_webhook
from service.web.app import create_app
from service.web.schemas.list_query import ListQuery
from service.worker.address import LIVE, READY
from tests.settings import REQUIRED, settings_from

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
MAKEFILE = (PROJECT / "Makefile").read_text()

# From the interface; those of later issues are added when they are made.
COMMANDS = (
    *("demo", "dev", "worker", "sandbox", "submit", "reconcile", "prove", "bench", "db upgrade", "db check"),
    *("attack", "db recount", "db current", "db history", "db downgrade"),
    *("keys create", "keys list", "keys revoke", "accounts add", "accounts list", "accounts remove"),
    *("webhook register", "webhook list", "webhook remove", "webhook rotate"),
    *("quarantine list", "quarantine show", "quarantine replay", "audit", "retention"),
)


def find_command(words: list[str]) -> click.Command | None:
    """The command that these words begin with, or None when a group lacks what follows."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            return command
        if word not in command.commands:
            return None
        command = command.commands[word]
    return command


def rows(*cells: str) -> list[tuple[str, ...]]:
    """The rows of the table whose header has these cells, without the marks of code."""
    lines = iter(README.splitlines())
    header = "| " + " | ".join(cells) + " |"
    for line in lines:
        if line == header:
            break
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append(tuple(cell.strip() for cell in line.strip("|").split(" | ")))
    assert found
    return found


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_command_that_is_named_exists_with_its_options() -> None:
    named = re.findall(r"cobalt-appointments ([a-z][^`\n#]*)", README)
    assert named
    for line in named:
        words = line.split()
        command = find_command([word for word in words if re.fullmatch(r"[a-z]+", word)])
        assert command is not None, line
        if command.name != "sandbox":  # it has a command line of its own
            options = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= options, line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_interface_exists(command: str) -> None:
    found = find_command(command.split())
    assert found is not None
    assert not isinstance(found, click.Group)


def shown(setting: str, value: object) -> str:
    if setting in REQUIRED:
        return "required"
    if setting == "SPOOL_DIR":
        assert isinstance(value, Path)
        name = re.sub(rf"-{os.geteuid()}-[0-9a-f]{{8}}$", "-<uid>-<digest>", value.name)
        return f"`{name}` among the temporary files, for each user and database one"
    if value in (None, ()):
        return ""
    if isinstance(value, timedelta):
        return f"`{value.total_seconds():g}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_the_settings_are_listed_with_their_defaults_and_what_they_mean() -> None:
    settings = settings_from()
    declared = [
        (f"`{field.name.upper()}`", shown(field.name.upper(), getattr(settings, field.name)), field.metadata["doc"])
        for field in fields(Settings)
    ]
    assert rows("setting", "default", "") == declared


def test_the_outcomes_of_the_sandbox_are_those_of_its_own_help() -> None:
    helped = subprocess.run(
        [sys.executable, "-m", "service.lab.sandbox", "--help"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    table = helped.partition("decides the outcome:\n")[2]
    told = [tuple(re.split(r"\s{2,}", line.strip())) for line in table.splitlines() if line.strip()]
    listed = [(asked.replace("`", ""), outcome) for asked, outcome in rows("asked for", "outcome")]
    assert listed == told


def test_every_address_that_is_named_exists(tmp_path: Path) -> None:
    app = create_app(settings_from(SPOOL_DIR=str(tmp_path)))
    known = {("POST", take_webhook.PATH), *(("GET", path) for path in (LIVE, READY))}  # and a worker's own
    for rule in app.url_map.iter_rules():
        known |= {(method, re.sub(r"<[^>]+>", "{id}", rule.rule)) for method in rule.methods or ()}
    calls = re.findall(r"`(GET|POST|PATCH) (/[^`]*)`", README)
    assert len(calls) > 8
    assert set(calls) <= known
    probes = set(re.findall(r"`(/(?:livez|readyz)[^`]*)`", README))
    assert {("GET", probe) for probe in probes} <= known


def test_every_parameter_of_the_list_is_described() -> None:
    described = [name for cell, _ in rows("parameter", "") for name in re.findall(r"`([a-z_]+)`", cell)]
    declared = {field.data_key or name for name, field in ListQuery().fields.items()}
    assert sorted(described) == sorted(declared)


def test_every_file_that_is_named_exists() -> None:
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert target[1:] in anchors if target.startswith("#") else (PROJECT / target).exists(), target
    for name in re.findall(r"-c (\S+\.py)", README):
        assert (PROJECT / name).exists(), name


def test_nothing_is_made_without_a_word_about_it_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert targets == set(phony[1].split())
    assert targets == set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))
