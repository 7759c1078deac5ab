"""`make prove`: nothing lost and nothing doubled, while everything breaks that breaks in production."""

import time
from pathlib import Path

from service.lab.directories import run_in_directory
from service.lab.drill.course import run_course
from service.lab.drill.plan import Plan
from service.lab.drill.progress import Progress
from service.lab.drill.report import print_account, write_account
from service.lab.drill.scene import set_up


def run(plan: Plan, report: Path | None = None) -> int:
    """Run a drill; returns the exit code: 0 only if every appointment was found and every zero is one.

    Args:
        plan: what to do.
        report: a file to write the account to, as JSON.
    """
    progress = Progress()
    return run_in_directory(
        "cobalt-prove-",
        progress.console,
        lambda directory: _run(plan, directory, progress, report),
        note=f"; the seed was {plan.seed}",
    )


def _run(plan: Plan, directory: Path, progress: Progress, report: Path | None) -> int:
    began = time.monotonic()
    faults = ", ".join(f"{name}={number:g}" for name, number in plan.faults.items())
    progress.say(f"seed {plan.seed}, {plan.appointments} appointments, faults: {faults or 'none'}")
    with progress.live(), set_up(plan, directory, progress) as scene:
        account = run_course(plan, scene, progress)
        problems = [*scene.injector.problems, *(f"refused: {one}" for one in scene.callers.refused)]
        if len(scene.callers.taken) + len(scene.callers.refused) < plan.appointments:
            problems.append(f"only {len(scene.callers.taken)} of {plan.appointments} requests were ever answered 202")
        counts = {f"fault: {fault}": float(count) for fault, count in sorted(scene.injector.counts.items())}
        counts |= dict(sorted(scene.callers.counts.items()))
    print_account(progress.console, account, counts)
    for problem in problems:
        progress.console.print(problem, style="red", markup=False, soft_wrap=True)
    passed = account.is_clean and not problems
    if report:
        write_account(report, plan, account, counts, passed=passed)
    verdict = "nothing lost, nothing doubled" if passed else "FAILED"
    progress.console.print(f"{verdict}; seed {plan.seed}, {time.monotonic() - began:.0f} s", markup=False)
    return 0 if passed else 1
