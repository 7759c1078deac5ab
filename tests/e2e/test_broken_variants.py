"""The drill of `make prove` must be able to fail: with each safeguard taken out it tells what that broke."""

import json
import subprocess
import sysconfig
from pathlib import Path

import pytest

BROKEN = Path(__file__).parents[1] / "broken"
COMMAND = Path(sysconfig.get_path("scripts")) / "cobalt-appointments"

# The smallest drill that shows it, and the counts that must not be 0.
CASES = {
    "commit_dropped": (
        ["--faults", "none", "--appointments", "10", "--seconds", "1", "--patience", "4"],
        {"lost", "2xx without a record"},
    ),
    "dedupe_dropped": (
        ["--faults", "duplicates=1", "--appointments", "30", "--seconds", "2", "--patience", "10"],
        {"applied more than once"},
    ),
    "lock_dropped": (
        ["--faults", "racing-webhooks,slow-disk=100", "--appointments", "100", "--seconds", "3", "--patience", "3"],
        {"overlooked events"},
    ),
    "ack_before_write": (
        ["--faults", "postgres-kill,web-kill", "--appointments", "150", "--seconds", "6", "--patience", "8"],
        {"2xx without a record"},
    ),
    "blind_resend": (
        ["--faults", "lost-replies=0.3", "--appointments", "30", "--seconds", "2", "--patience", "5"],
        {"doubled in Cobalt"},
    ),
}


@pytest.mark.parametrize("variant", CASES)
def test_the_drill_catches_a_service_without_this_safeguard(variant: str, tmp_path: Path) -> None:
    options, caught = CASES[variant]
    report = tmp_path / "report.json"
    variant_env = ["--env", f"PYTHONPATH={BROKEN}", "--env", f"BROKEN_VARIANT={variant}"]

    done = subprocess.run(  # noqa: S603  our own command
        [COMMAND, "prove", "--short", "--seed", "1", *options, "--report", report, *variant_env],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert report.exists(), done.stdout + done.stderr
    account = json.loads(report.read_text())
    assert not account["passed"]
    assert caught <= {name for name, cases in account["defects"].items() if cases}, done.stdout
