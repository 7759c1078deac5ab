"""The short form of `make bench`, as anybody would start it: it fails when something has become slower by far."""

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

COMMAND = Path(sysconfig.get_path("scripts")) / "cobalt-appointments"


def bench(*arguments: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = None if path is None else {"PATH": path}
    return subprocess.run(  # noqa: S603  our own command
        [COMMAND, "bench", *arguments], capture_output=True, text=True, timeout=110, check=False, env=env
    )


@pytest.mark.skipif(shutil.which("wrk") is None and "CI" not in os.environ, reason="wrk is not installed")
def test_the_short_benchmark_finds_every_event_stored_once_and_nothing_slow_by_far(tmp_path: Path) -> None:
    report = tmp_path / "report.json"

    done = bench("--smoke", "--json", report)

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(report.read_text())
    assert result["passed"]
    assert result["problems"] == []
    assert result["machine"]["fsync"] == "on"
    assert {aim["text"] for aim in result["aims"] if aim["required"]} == {
        "new events / pgbench: inserted, and its appointment settled",
        "new events / empty gunicorn + Flask",
        "duplicates / empty gunicorn + Flask",
        "GET /v1/appointments/{id} / empty gunicorn + Flask",
    }
    assert all(len(rounds) == 3 for rounds in result["rounds"].values())


def test_without_wrk_it_says_in_one_line_how_to_get_it(tmp_path: Path) -> None:
    done = bench("--smoke", path=str(tmp_path))

    assert done.returncode == 1
    assert (
        done.stdout.splitlines()[0] == "wrk is missing, which makes the load: apt-get install wrk, or brew install wrk"
    )
