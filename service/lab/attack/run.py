"""Runs one attack, from an empty directory to its report."""

import shutil
import tempfile
from pathlib import Path

import httpx
import psycopg

from service.lab.attack.course import run_course
from service.lab.attack.plan import Plan
from service.lab.attack.report import print_report, write_report
from service.lab.attack.scene import set_up
from service.lab.bench.progress import Telling
from service.lab.processes import PortTakenError, ProcessError, interrupt_once


def run(plan: Plan, report: Path | None = None) -> int:
    """Run an attack.

    Args:
        plan: what to attack.
        report: a file to write the result to, as JSON.

    Returns:
        The exit code: 0 only if nothing hurt.
    """
    interrupt_once()
    telling = Telling()
    directory = Path(tempfile.mkdtemp(prefix="cobalt-attack-"))
    code = 1
    try:
        code = _run(plan, directory, telling, report)
    except (ProcessError, PortTakenError) as error:
        telling.console.print(str(error), style="red", markup=False, soft_wrap=True)
    except (httpx.HTTPError, psycopg.Error) as error:
        telling.console.print(f"broke off: {type(error).__name__}: {error}", style="red", markup=False)
    except KeyboardInterrupt:
        telling.console.print("interrupted")
        code = 130
    if code == 1:
        shutil.rmtree(directory / "postgres", ignore_errors=True)
        telling.console.print(f"the logs are in {directory / 'logs'}", soft_wrap=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return code


def _run(plan: Plan, directory: Path, telling: Telling, report: Path | None) -> int:
    with set_up(plan, directory, telling) as scene:
        found = run_course(scene)
    hurt = [one for findings in found.values() for one in findings if one.hurts]
    print_report(telling.console, found)
    if report:
        write_report(report, plan, found, passed=not hurt)
    telling.say("nothing hurts" if not hurt else f"FAILED: {len(hurt)} hurt")
    return 1 if hurt else 0
