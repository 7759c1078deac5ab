"""`make dev`: the whole service kept up on this machine, with data that lasts until the next time."""

import contextlib
import fcntl
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from service.stack.processes import PortTakenError, ProcessError, interrupt_once
from service.stack.stack import PROJECT, Stack, chosen_port

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
    with stack:
        console.print(_welcome(stack), markup=False)
        while True:
            stack.check()
            time.sleep(CHECK_INTERVAL)


def _welcome(stack: Stack) -> str:
    body = (
        '{"mrn":"123456789","location":"Main Clinic","date":"2030-01-15","time":"10:00",'
        '"provider":"Dr. Smith","type":"new_patient"}'
    )
    call = f"curl -s -H {shlex.quote(f'Authorization: Bearer {stack.api_key}')}"
    return f"""
service       {stack.url}
sandbox       {stack.sandbox_url}
database      {stack.database_url}
API key       {stack.api_key}
logs          {stack.logs}

submit one    {call} -H 'Content-Type: application/json' -d {shlex.quote(body)} {stack.url}/v1/appointments
read them     {call} {stack.url}/v1/appointments

Ctrl-C ends it; the data stays in {stack.directory}.
"""


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
