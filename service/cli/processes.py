"""Commands that run: the worker, the sandbox, and whole stacks for demo and development."""

from __future__ import annotations

import os
import sys

import click

from service import worker as worker_process
from service.config import Settings


@click.command()
def worker() -> None:
    """Submit due appointments until SIGTERM."""
    worker_process.run(Settings.from_env())


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Stand in for Cobalt, as documented; `sandbox --help` lists the outcomes and the faults."""
    # Its own process, because it shares no code with the rest: one bug cannot hide in both.
    os.execv(sys.executable, [sys.executable, "-m", "service.sandbox", *arguments])  # noqa: S606


@click.command()
def demo() -> None:
    """Do the main job, start to end, on an embedded PostgreSQL and the sandbox."""
    from service.stack import demo as stack_demo  # noqa: PLC0415 (needs the extra `embedded`)

    sys.exit(stack_demo.run())


@click.command()
def dev() -> None:
    """Keep the whole stack up until Ctrl-C: web, worker, sandbox, embedded PostgreSQL."""
    from service.stack import dev as stack_dev  # noqa: PLC0415 (needs the extra `embedded`)

    sys.exit(stack_dev.run())


COMMANDS = (worker, sandbox, demo, dev)
