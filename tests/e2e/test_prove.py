"""The short form of `make prove`, as anybody would start it."""

import json
import subprocess
import sysconfig
from pathlib import Path

COMMAND = Path(sysconfig.get_path("scripts")) / "cobalt-appointments"


def test_the_short_drill_finds_every_appointment_and_nothing_that_must_not_be(tmp_path: Path) -> None:
    report = tmp_path / "report.json"

    done = subprocess.run(  # noqa: S603  our own command
        [COMMAND, "prove", "--short", "--seed", "1", "--report", report],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    account = json.loads(report.read_text())
    assert account["submitted"] == sum(account["places"].values()) == 200
    assert not any(account["defects"].values())
    assert "nothing lost, nothing doubled" in done.stdout


def test_a_day_without_webhooks_leaves_nothing_open_and_nothing_to_a_person(tmp_path: Path) -> None:
    report = tmp_path / "report.json"

    done = subprocess.run(  # noqa: S603  our own command
        [COMMAND, "prove", "--blackout", "--short", "--seed", "1", "--report", report],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    account = json.loads(report.read_text())
    assert account["submitted"] == account["places"]["created"] + account["places"]["failed"] == 200
    assert not any(account["defects"].values())
    assert account["noted"]["outcomes learned by asking"] == 200
