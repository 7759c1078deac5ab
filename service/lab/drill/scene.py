"""Where a drill takes place: the whole service as it runs in production, twice of everything, and its callers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.lab.drill import blackout
from service.lab.drill.balancer import Balancer
from service.lab.drill.callers import Callers
from service.lab.drill.disk import SpoolDisk
from service.lab.drill.injector import Injector
from service.lab.drill.plan import INSTANCES, SLOW_DISK, Plan
from service.lab.drill.progress import Progress
from service.lab.processes import free_port
from service.lab.stack import Stack


@dataclass(frozen=True)
class Scene:
    """The parts of a drill. Callers and injector are not started yet."""

    stack: Stack
    spool_dirs: list[Path]
    callers: Callers
    injector: Injector


@contextmanager
def set_up(plan: Plan, directory: Path, progress: Progress) -> Iterator[Scene]:
    """Have everything running inside, and ended afterwards."""
    with ExitStack() as unwind:
        disk = SpoolDisk(directory / "spools")
        if "disk-full" in plan.faults:
            unwind.enter_context(disk)
            if not disk.is_mounted:
                progress.say("no disk can be mounted here: the spools' own limit stands in for a full one")
        spool_dirs = [disk.directory / f"web-{number}" for number in range(1, INSTANCES + 1)]
        balancer_port = free_port()
        stack = Stack(
            directory,
            webs=INSTANCES,
            workers=INSTANCES,
            sandbox_options=_sandbox_options(plan),
            webhook_url=f"http://127.0.0.1:{balancer_port}/webhooks/cobalt",
            env={**_service_env(plan), **disk.env, **plan.env},
            # Each its own, as on two hosts.
            web_envs=[{"SPOOL_DIR": str(spool_dir)} for spool_dir in spool_dirs],
            # fsync stays on: what PostgreSQL said yes to must be there after a kill.
            postgres_settings={
                "commit_delay": str(round(1000 * plan.faults.get(SLOW_DISK, 0))),
                "commit_siblings": "0",
            },
            key_name="prove",
        )
        progress.show("starting PostgreSQL, the sandbox, two web instances and two workers")
        unwind.enter_context(stack)
        unwind.callback(stack.kill)
        if not plan.blackout:  # else nobody listens where the webhooks go
            unwind.enter_context(Balancer(balancer_port, stack.web_ports))
        callers = Callers(
            stack.web_urls, stack.api_key, seed=plan.seed, appointments=plan.appointments, seconds=plan.seconds
        )
        unwind.callback(callers.stop)
        injector = Injector(stack, disk, delay=plan.delay, say=progress.say)
        unwind.callback(injector.stop)
        yield Scene(stack, spool_dirs, callers, injector)


def _sandbox_options(plan: Plan) -> list[str]:
    # The later shapes name a job, so that missed events can be asked for.
    options = ["--reply-shape", "top-level", "--webhook-shape", "later", "--event-clock", "milliseconds"]
    options += ["--seed", str(plan.seed), "--delay", str(plan.delay)]
    for name, rate in plan.sandbox_rates.items():
        options += ["--" + name.replace("_", "-"), str(rate)]
    return options


def _service_env(plan: Plan) -> dict[str, str]:
    """The service's waits, which in production are minutes and hours, in proportion to the drill."""
    return {
        "WEB_CONCURRENCY": "1" if plan.short else "2",
        "RATE_LIMIT": "0",  # one key makes all requests
        "IN_FLIGHT_LIMIT": "0",
        "COBALT_TIMEOUT": "2" if plan.short else "5",
        "OVERDUE_AFTER": str(2 * plan.delay),
        "ASK_AFTER": str(2 * plan.delay),
        "ASK_INTERVAL": "0.5" if plan.short else "1",
        "ASK_RATE": "50",
        # Longer than the longest outage and what comes after it: before that, absence proves nothing.
        "UNCONFIRMED_AFTER": "8" if plan.short else "40",
    } | (blackout.service_env(plan.seconds) if plan.blackout else {})
