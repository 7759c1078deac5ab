"""No option takes a secret itself: every user of a machine sees the command lines of all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from service.cli import cli
from service.lab.sandbox.cli import main as sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = re.compile(r"secret|token|password|credential|api.?key|encryption")


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}")


def test_no_option_takes_a_secret_itself() -> None:
    found = {
        f"{path} {option.opts[0]}": option
        for path, command in [*commands(cli, "cobalt-appointments"), *commands(sandbox, "sandbox")]
        for option in command.params
        if any(SECRET.search(name.casefold()) for name in (option.name or "", *option.opts))
    }
    files = {name for name, option in found.items() if isinstance(option.type, click.File | click.Path)}
    assert found.keys() - files == set()
    assert all(name.endswith("-file") for name in files)
    assert len(found) >= 3
