"""Runs one benchmark, from an empty directory to its report."""

from pathlib import Path

from service.lab.bench.course import run_course
from service.lab.bench.generator import BenchError, require_wrk
from service.lab.bench.plan import Plan
from service.lab.bench.progress import Telling
from service.lab.bench.report import describe_machine, print_outcome, write_outcome
from service.lab.bench.scene import set_up
from service.lab.bench.verdict import aims
from service.lab.directories import run_in_directory


def run(plan: Plan, report: Path | None = None) -> int:
    """Run a benchmark.

    Args:
        plan: what to measure.
        report: a file to write the result to, as JSON.

    Returns:
        The exit code: 0 only if all that was answered 2xx is stored once and nothing that is required was missed.
    """
    telling = Telling()
    try:
        require_wrk()
    except BenchError as error:
        telling.console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    return run_in_directory(
        "cobalt-bench-",
        telling.console,
        lambda directory: _run(plan, directory, telling, report),
        expected=(BenchError,),
        keep_data=False,
    )


def _run(plan: Plan, directory: Path, telling: Telling, report: Path | None) -> int:
    with set_up(plan, directory, telling) as scene:
        machine = describe_machine(scene)
        outcome = run_course(plan, scene, telling)
    found = aims(plan, outcome)
    passed = not outcome.problems and all(aim.met for aim in found if aim.required)
    print_outcome(telling.console, outcome, found)
    telling.console.print(
        f"\n{plan.connections} connections, {plan.rounds} rounds of {plan.seconds} s, events of "
        f"{outcome.body_bytes:.0f} bytes; " + ", ".join(f"{name} {value}" for name, value in machine.items()),
        soft_wrap=True,
        markup=False,
    )
    if report:
        write_outcome(report, plan, outcome, found, machine, passed=passed)
    verdict = "every answer 2xx is stored, once" if not outcome.problems else "FAILED"
    telling.say(verdict if passed or outcome.problems else "FAILED: slower than it must not become")
    return 0 if passed else 1
