"""The directory in which the processes of one web server share their metrics, including those of dead processes.

The library looks for the directory once, when it is imported: ``share`` comes before that, and nothing here may
import it any earlier.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The variable in which the library looks for the directory."""
PREFIX = f"cobalt-appointments-metrics-{os.geteuid()}-"
LOCK = "lock"
ACCUMULATED = ("counter", "histogram")
"""A dead process's counts still count; its gauges do not."""


def share() -> None:
    """Create the directory of this server, and remove those of servers that were killed."""
    if find_directory() is not None:  # the server reads its configuration again
        return
    here = Path(tempfile.gettempdir())
    for left in here.glob(f"{PREFIX}*"):
        if not _is_alive(left.name.removeprefix(PREFIX)):
            shutil.rmtree(left, ignore_errors=True)
    directory = here / f"{PREFIX}{os.getpid()}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    (directory / LOCK).touch()
    os.environ[VARIABLE] = str(directory)


def find_directory() -> Path | None:
    """Find the directory, if this process shares its metrics with others."""
    found = os.environ.get(VARIABLE)
    return Path(found) if found else None


@contextmanager
def reading() -> Iterator[None]:
    """Prevent files from being moved while they are read: they would be missed or counted twice."""
    with _held(fcntl.LOCK_SH):
        yield


def bury(pid: int) -> None:
    """Merge a dead process's counts into the file for all dead ones, so that the number of files stays bounded."""
    from prometheus_client import mmap_dict, multiprocess  # noqa: PLC0415 (see above)

    directory = find_directory()
    if directory is None:
        return
    with _held(fcntl.LOCK_EX):
        multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
        for kind in ACCUMULATED:
            dead = directory / f"{kind}_{pid}.db"
            if not dead.exists():
                continue
            grave = mmap_dict.MmapedDict(str(directory / f"{kind}_0.db"))  # type: ignore[no-untyped-call]
            for key, value, _, _ in mmap_dict.MmapedDict.read_all_values_from_file(str(dead)):  # type: ignore[no-untyped-call]
                before, _ = grave.read_value(key)  # type: ignore[no-untyped-call]
                grave.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
            grave.close()  # type: ignore[no-untyped-call]
            dead.unlink()


def remove() -> None:
    """Remove the directory when the server stops."""
    directory = find_directory()
    if directory is not None and directory.name == f"{PREFIX}{os.getpid()}":
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _held(how: int) -> Iterator[None]:
    directory = find_directory()
    if directory is None:
        yield
        return
    with (directory / LOCK).open() as file:
        fcntl.flock(file, how)
        yield


def _is_alive(pid: str) -> bool:
    if not pid.isdecimal():
        return True  # not ours to judge
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()
