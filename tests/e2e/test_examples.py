"""What the README and `make dev` tell people to type answers as it is typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.lab.dev import welcome, write_environment
from tests.records import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

README = (Path(__file__).parents[2] / "README.md").read_text()
ID = "appt_01M82H411FTRZNBWNK8888BX86"

pytestmark = pytest.mark.skipif(not shutil.which("curl") and "CI" not in os.environ, reason="there is no curl")


@pytest.fixture
def environment(stack: Stack, tmp_path: Path) -> Path:
    write_environment(stack, tmp_path / "environment")
    return tmp_path / "environment"


def commands(text: str) -> Iterator[str]:
    """The commands of a shell script, those of several lines as one."""
    command = ""
    for line in text.splitlines():
        command += f"{line}\n"
        try:
            if not line.endswith("\\") and shlex.split(command, comments=True):
                yield command
        except ValueError:  # a quote is open
            continue
        command = "" if not line.endswith("\\") else command


def typed(command: str, environment: Path) -> subprocess.CompletedProcess[str]:
    home = environment.parent
    (home / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')
    script = f"set -eu\n. {environment}\n{command}"
    return subprocess.run(  # noqa: S603  our own examples
        ["bash", "-c", script],  # noqa: S607  whatever bash there is
        cwd=home,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def answered(command: str, environment: Path) -> str:
    """What curl printed; the answer must be a good one."""
    ran = typed(command, environment)
    assert ran.returncode == 0, (command, ran.stderr)
    body, _, status = ran.stdout.rpartition("\n")
    assert status.startswith("2"), (command, ran.stdout)
    return body


def test_the_readmes_examples_answer_as_they_are_typed(environment: Path) -> None:
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "curl" in block]
    calls = [command for block in blocks for command in commands(block) if command.lstrip().startswith("curl")]
    assert len(calls) == README.count("\ncurl ")
    made = json.loads(answered(calls[0], environment))["id"]
    assert f"id={ID}\n" in README
    with environment.open("a") as file:
        file.write(f"export id={made}\n")
    for call in calls[1:]:
        answered(call, environment)
    assert (environment.parent / "january.csv").read_text("utf-8-sig").startswith("object,id,")


def test_what_dev_says_to_try_can_be_pasted(stack: Stack, environment: Path) -> None:
    said = welcome(stack, environment)
    assert f"{stack.url}/docs" in said
    _, _, script = said.partition("In another shell:\n")
    to_try = [one for one in commands(script.partition("\nCtrl-C")[0]) if not one.startswith(". ")]
    asked = [json.loads(answered(one, environment))["id"] for one in to_try if " -d " in one]
    assert len(asked) == 2
    until(lambda: outcomes(asked, environment) == ["created", "appointment_conflict"])
    for one in to_try:
        if "curl" in one:
            answered(one, environment)
        else:
            ran = typed(one, environment)
            assert ran.returncode == 0, (one, ran.stderr)


def outcomes(ids: list[str], environment: Path) -> list[str]:
    calls = [f'curl -H "Authorization: Bearer $key" $api/v1/appointments/{one}' for one in ids]
    shown = [json.loads(answered(call, environment)) for call in calls]
    return [(one["failure"] or {}).get("category") or one["status"] for one in shown]


def test_the_environment_is_for_its_owner_only(environment: Path) -> None:
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600


def test_a_misspelt_setting_is_in_the_log_of_each_process_with_what_was_meant(stack: Stack) -> None:
    for process in (*stack.webs, *stack.workers):
        lines = [json.loads(line) for line in process.log_text().splitlines() if line.startswith("{")]
        (said,) = [line for line in lines if "setting" in line]
        assert (said["setting"], said["nearest"], said["level"]) == ("WEB_CONCURENCY", "WEB_CONCURRENCY", "warning")
