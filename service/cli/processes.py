"""Commands that keep running: the worker, the sandbox, and whole stacks for demo and development."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.config import Settings
from service.worker import loop as worker_process

if TYPE_CHECKING:
    from collections.abc import Iterator


def _read_env(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if not all(equals for _, equals, _ in pairs):
        raise click.BadParameter("NAME=VALUE, please")
    return {name: value for name, _, value in pairs}


_env = click.option(
    "--env", multiple=True, hidden=True, callback=_read_env, help="NAME=VALUE for the web processes and the workers."
)


@contextmanager
def _refusing_bad_plans() -> Iterator[None]:
    """Say of a plan that cannot be made that the command line is wrong."""
    try:
        yield
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
def worker() -> None:
    """Submit due appointments until SIGTERM."""
    worker_process.run(Settings.from_env())


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Run the stand-in for Cobalt; `sandbox --help` lists the outcomes and the faults."""
    # Its own process, because it shares no code with the rest: one bug cannot hide in both.
    os.execv(sys.executable, [sys.executable, "-m", "service.lab.sandbox", *arguments])  # noqa: S606


@click.command()
@click.option(
    "--webhooks/--no-webhooks", default=True, help="Whether Cobalt sends its events, or is only asked for them."
)
def demo(*, webhooks: bool) -> None:
    """Show every documented outcome, from the request to the webhook, on an embedded PostgreSQL and the sandbox."""
    from service.lab import demo as stack_demo  # noqa: PLC0415 (needs the extra `embedded`)

    sys.exit(stack_demo.run(webhooks=webhooks))


@click.command()
def dev() -> None:
    """Run the whole stack until Ctrl-C: web, worker, sandbox, embedded PostgreSQL."""
    from service.lab import dev as stack_dev  # noqa: PLC0415 (needs the extra `embedded`)

    sys.exit(stack_dev.run())


@click.command()
@click.option("--appointments", type=click.IntRange(1, 1_000_000), help="How many; 3000, in the short form 200.")
@click.option("--seed", type=int, help="Decides all that is drawn; a new one each time, and printed.")
@click.option("--faults", default="all", help="Names separated by commas, `all` or `none`; NAME=NUMBER says how often.")
@click.option("--short", is_flag=True, help="A drill of half a minute.")
@click.option("--blackout", is_flag=True, help="A day on a scaled clock in which no webhook arrives.")
@click.option("--seconds", type=float, help="In which all are submitted and the faults strike.")
@click.option("--patience", type=float, help="Seconds in which everything has to settle afterwards.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the account there, as JSON.")
@_env
def prove(
    appointments: int | None,
    seed: int | None,
    faults: str,
    *,
    short: bool,
    blackout: bool,
    seconds: float | None,
    patience: float | None,
    report: Path | None,
    env: dict[str, str],
) -> None:
    """Run the fault drill, a few minutes: nothing is lost and nothing duplicated, whatever breaks."""
    from service.lab import prove as stack_prove  # noqa: PLC0415 (needs the extra `embedded`)
    from service.lab.drill import plan  # noqa: PLC0415

    with _refusing_bad_plans():
        chosen = plan.make_plan(
            seed=seed,
            faults=faults,
            short=short,
            blackout=blackout,
            appointments=appointments,
            seconds=seconds,
            patience=patience,
            env=env,
        )
    sys.exit(stack_prove.run(chosen, report))


@click.command()
@click.option("--parts", help="Comma-separated names: limits, intake, submission, reads, cost; or growth, alone.")
@click.option("--rounds", type=click.IntRange(1, 100), help="How often each part is measured; default 3.")
@click.option(
    "--seconds", type=click.IntRange(1, 600), help="How long each measurement takes; default 8, with --smoke 1."
)
@click.option("--connections", type=click.IntRange(1, 1000), default=32, show_default=True, help="Connections at once.")
@click.option(
    "--appointments", type=click.IntRange(1), help="How many exist at the start; default 20000, with --smoke 2000."
)
@click.option("--smoke", is_flag=True, help="Run for half a minute; fail if a result is far below its limit.")
@click.option(
    "--json", "report", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file."
)
@_env
def bench(
    parts: str | None,
    rounds: int | None,
    seconds: int | None,
    connections: int,
    appointments: int | None,
    *,
    smoke: bool,
    report: Path | None,
    env: dict[str, str],
) -> None:
    """Measure the service beside what PostgreSQL and HTTP allow on this machine."""
    from service.lab.bench import plan, run  # noqa: PLC0415 (needs the extra `embedded`)

    with _refusing_bad_plans():
        chosen = plan.make_plan(
            parts=parts,
            rounds=rounds,
            seconds=seconds,
            connections=connections,
            appointments=appointments,
            smoke=smoke,
            env=env,
        )
    sys.exit(run.run(chosen, report))


@click.command()
@click.option("--only", help="Comma-separated names of parts; default all but `soak`.")
@click.option("--short", is_flag=True, help="Run for half a minute, with short deadlines and small numbers.")
@click.option(
    "--connections",
    type=click.IntRange(20, 8000),
    help="How many slow and silent ones; default 3000, with --short 300.",
)
@click.option("--minutes", type=click.FloatRange(0.1, 1440), help="How long `--only soak` takes; default 60.")
@click.option(
    "--json", "report", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file."
)
@_env
def attack(
    only: str | None,
    connections: int | None,
    minutes: float | None,
    *,
    short: bool,
    report: Path | None,
    env: dict[str, str],
) -> None:
    """Attack the service as hostile clients, a sick Cobalt and curious colleagues would; fail if that does harm."""
    from service.lab.attack import plan, run  # noqa: PLC0415 (needs the extra `embedded`)

    with _refusing_bad_plans():
        chosen = plan.make_plan(
            only=only,
            short=short,
            connections=connections,
            minutes=minutes,
            env=env,
        )
    sys.exit(run.run(chosen, report))


COMMANDS = (worker, sandbox, demo, dev, prove, bench, attack)
