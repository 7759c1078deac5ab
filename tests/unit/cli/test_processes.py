"""The commands that run whole stacks refuse a plan that cannot be made, as a mistake on the command line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from service.cli import cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prove", "--faults", "no_such_fault"], "no_such_fault"),
        (["bench", "--parts", "no_such_part"], "no_such_part"),
        (["attack", "--only", "no_such_part"], "no_such_part"),
        (["bench", "--env", "NAME"], "NAME=VALUE"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(arguments: list[str], said: str) -> None:
    ran = CliRunner().invoke(cli, arguments)
    assert ran.exit_code == 2
    assert said in ran.stderr
