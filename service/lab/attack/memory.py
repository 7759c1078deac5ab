"""Watches the resident memory of processes while they are attacked."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from service.lab.attack.finding import MB
from service.lab.processes import Process

INTERVAL = 0.05  # seconds; fast floods fill some hundred megabytes a second


def members(process: Process) -> list[psutil.Process]:
    """The processes that do the work: the children of a master, or else the process itself."""
    first = psutil.Process(process.pid)
    return first.children() or [first]


def resident(process: Process) -> list[float]:
    """Resident megabytes of each process that does the work, by process id."""
    found = []
    for one in sorted(members(process), key=lambda one: one.pid):
        with suppress(psutil.NoSuchProcess):
            found.append(one.memory_info().rss / MB)
    return found


@dataclass
class Growth:
    """How much more memory there was at most, in megabytes: of all together."""

    start: Sequence[float]
    most: float = 0.0


@contextmanager
def watching(process: Process, *, fuse: Callable[[], object] = lambda: None, most: float = 400) -> Iterator[Growth]:
    """Watch inside.

    Args:
        process: the first one; its children count where it has some.
        fuse: called once when there are `most` megabytes more, so that a hole in the service does not become one in
            this machine.
        most: megabytes.
    """
    growth = Growth(resident(process))
    stop = threading.Event()

    def watch() -> None:
        blown = False
        while not stop.wait(INTERVAL):
            with suppress(psutil.Error):
                growth.most = max(growth.most, sum(resident(process)) - sum(growth.start))
            if growth.most > most and not blown:
                blown = True
                fuse()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield growth
    finally:
        stop.set()
        thread.join()
