"""Runs one attack, from an empty directory to its report."""

from pathlib import Path

from service.lab.attack.course import run_course
from service.lab.attack.plan import Plan
from service.lab.attack.report import print_report, write_report
from service.lab.attack.scene import set_up
from service.lab.bench.progress import Telling
from service.lab.directories import run_in_directory


def run(plan: Plan, report: Path | None = None) -> int:
    """Run an attack.

    Args:
        plan: what to attack.
        report: a file to write the result to, as JSON.

    Returns:
        The exit code: 0 only if nothing hurt.
    """
    telling = Telling()
    return run_in_directory(
        "cobalt-attack-", telling.console, lambda directory: _run(plan, directory, telling, report), keep_data=False
    )


def _run(plan: Plan, directory: Path, telling: Telling, report: Path | None) -> int:
    with set_up(plan, directory, telling) as scene:
        found = run_course(scene)
    hurt = [one for findings in found.values() for one in findings if one.hurts]
    print_report(telling.console, found)
    if report:
        write_report(report, plan, found, passed=not hurt)
    telling.say("nothing hurts" if not hurt else f"FAILED: {len(hurt)} hurt")
    return 1 if hurt else 0
