"""The short form of `make attack`, as anybody would start it, in two halves that take as long."""

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

BROKEN = Path(__file__).parents[1] / "broken"
COMMAND = Path(sysconfig.get_path("scripts")) / "cobalt-appointments"


def attack(only: str, report: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(  # noqa: S603  our own command
        [COMMAND, "attack", "--short", "--only", only, "--json", report, *options],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    return done, json.loads(report.read_text())


@pytest.mark.parametrize(
    "only", ["floods,bodies,slow,framing,descriptors", "leaks,cobalts,events,guessing,logs,soak"], ids=["door", "rest"]
)
def test_nothing_that_is_tried_hurts(only: str, tmp_path: Path) -> None:
    done, result = attack(only, tmp_path / "report.json", "--minutes", "0.1")

    assert done.returncode == 0, done.stdout + done.stderr
    assert result["passed"]
    assert list(result["parts"]) == only.split(",")
    assert all(result["parts"].values())
    assert "nothing hurts" in done.stdout


def test_a_service_that_believes_every_signature_is_caught(tmp_path: Path) -> None:
    broken = ["--env", f"PYTHONPATH={BROKEN}", "--env", "BROKEN_VARIANT=signature_dropped"]
    done, result = attack("events", tmp_path / "report.json", *broken)

    assert done.returncode == 1, done.stdout + done.stderr
    assert not result["passed"]
    forged = result["parts"]["events"][0]
    assert forged["verdict"] == "HURTS"
    assert "another secret's: 200" in forged["came"]
    assert "another secret's: settled" in forged["came"]
