"""Ends the children of a process that is gone, however it went.

A process of its own, because nothing else sees every way to die: its standard input is a pipe that the parent
holds open, and the kernel closes it on a crash and on SIGKILL as well. It works from any thread, finds
descendants and ends stopped ones too, which a parent-death signal does not.
"""

import contextlib
import sys
import time
from collections.abc import Iterable

import psutil


def hold_family(pid: int) -> list[psutil.Process]:
    """Stop the process and return it with all its descendants; empty when it is gone.

    It is stopped first so that it cannot start another child after they were counted.
    """
    try:
        root = psutil.Process(pid)
        root.suspend()
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(members: Iterable[psutil.Process]) -> None:
    """Send SIGKILL to each and return when the last one is gone."""
    members = list(members)
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    while any(is_alive(member) for member in members):
        time.sleep(0.005)


def is_alive(process: psutil.Process) -> bool:
    """Tell whether it runs; a zombie does not, and waits for a parent that is not always there."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def main() -> None:
    """Read process ids, one a line, until the parent is gone; then kill those with all their descendants."""
    watched = []
    for line in sys.stdin:
        with contextlib.suppress(psutil.NoSuchProcess):
            watched.append(psutil.Process(int(line)))
    # psutil compares start times, so an id that another process got since then is not taken for ours.
    for process in watched:
        if is_alive(process):
            kill(hold_family(process.pid))


if __name__ == "__main__":
    main()
