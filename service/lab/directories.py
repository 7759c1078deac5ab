"""A directory for one run of a stack, which stays only where its logs tell what went wrong."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
from rich.console import Console

from service.lab.processes import PortTakenError, ProcessError, interrupt_once


def run_in_directory(
    prefix: str,
    console: Console,
    work: Callable[[Path], int],
    *,
    expected: tuple[type[Exception], ...] = (),
    note: str = "",
    keep_data: bool = True,
) -> int:
    """Run something in a directory of its own, and return its exit code: 1 for what breaks it, 130 for Ctrl-C.

    Args:
        prefix: What the directory's name begins with.
        console: Where to say what broke it.
        work: Gets the directory, and returns the exit code.
        expected: Further errors whose message is for a person.
        note: What to say beside where the logs are.
        keep_data: Whether PostgreSQL's files stay with the logs; they may be gigabytes.
    """
    interrupt_once()
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    code = 1
    try:
        code = work(directory)
    except (ProcessError, PortTakenError) + expected as error:  # noqa: RUF005 (mypy follows a sum of tuples only)
        console.print(str(error), style="red", markup=False, soft_wrap=True)
    except (httpx.HTTPError, psycopg.Error) as error:
        console.print(f"broke off: {type(error).__name__}: {error}", style="red", markup=False)
    except KeyboardInterrupt:
        console.print("interrupted")
        code = 130
    if code == 1:
        if not keep_data:
            shutil.rmtree(directory / "postgres", ignore_errors=True)
        console.print(f"the logs are in {directory / 'logs'}{note}", soft_wrap=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return code
