"""`make dev`: the whole service kept up on this machine, with data that lasts until the next time."""

import contextlib
import fcntl
import json
import os
import shlex
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from service.lab.demo import APPOINTMENT
from service.lab.processes import PortTakenError, ProcessError, interrupt_once
from service.lab.stack import PROJECT, Stack, chosen_port

DIRECTORY = PROJECT / "var" / "dev"
WEB_PORT = 8000
SANDBOX_PORT = 8001
CHECK_INTERVAL = 0.5  # seconds between looks whether every child still runs


class AlreadyRunningError(Exception):
    """Another `make dev` uses the same data."""


def run() -> int:
    """Keep the stack up until Ctrl-C or SIGTERM (0), or until something in it fails (1)."""
    interrupt_once()
    console = Console(highlight=False, soft_wrap=True)
    try:
        with _only_one(DIRECTORY):
            _run(console)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0
    except (ProcessError, PortTakenError, AlreadyRunningError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    return 0


def _run(console: Console) -> None:
    stack = Stack(
        DIRECTORY,
        web_ports=[chosen_port("DEV_WEB_PORT", WEB_PORT)],
        sandbox_port=chosen_port("DEV_SANDBOX_PORT", SANDBOX_PORT),
        sandbox_options=["--delay", "2"],
        key_name=f"dev {time.strftime('%Y-%m-%d %H:%M:%S')}",
    )
    console.print("starting PostgreSQL, the sandbox, a web instance and a worker")
    with stack, _environment(stack) as environment:
        console.print(welcome(stack, environment), markup=False)
        while True:
            stack.check()
            time.sleep(CHECK_INTERVAL)


def welcome(stack: Stack, environment: Path) -> str:
    """Say where everything is, and what to try; each command can be pasted into a shell."""
    call = 'curl -s -H "Authorization: Bearer $key"'
    submit = f"{call} -H 'Content-Type: application/json' $api/v1/appointments -d"
    return f"""
service       {stack.url}
the API       {stack.url}/docs
sandbox       {stack.sandbox_url}
database      {stack.database_url}
API key       {stack.api_key}
logs          {stack.logs}

In another shell:
. {shlex.quote(str(environment))}

# one that is created, and one that fails, each within seconds
{submit} {shlex.quote(json.dumps(APPOINTMENT))}
{submit} {shlex.quote(json.dumps(APPOINTMENT | {"location": "Double Booked"}))}

# what became of them, and why
{call} "$api/v1/appointments?limit=5"
{call} $api/v1/stats

# the command line
cobalt-appointments keys list
cobalt-appointments submit --help
cobalt-appointments reconcile --dry-run

Ctrl-C ends it; the data stays in {stack.directory}.
"""


@contextlib.contextmanager
def _environment(stack: Stack) -> Iterator[Path]:
    """Have a file to source for as long as the stack runs: it holds the secrets of this run."""
    path = stack.directory / "environment"
    write_environment(stack, path)
    try:
        yield path
    finally:
        path.unlink()


def write_environment(stack: Stack, path: Path) -> None:
    """Write the environment of the command line, and what the examples of the README need, for one's own shell."""
    names = {**stack.env, "PATH": f"{sysconfig.get_path('scripts')}:$PATH", "api": stack.url, "key": stack.api_key}
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        for name, value in names.items():
            text = f'"{value}"' if name == "PATH" else shlex.quote(value)
            file.write(f"export {name}={text}\n")


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, which the kernel gives back however this process ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise AlreadyRunningError(
                f"`make dev` is already running as process {holder} on {directory}; end that one first"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
