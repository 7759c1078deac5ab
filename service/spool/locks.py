"""The kernel's file locks: they end with the process that holds them, so no kill leaves one behind."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLL = 0.001
"""Seconds between attempts to lock. SQLite's own back-off grows to 0.1 s, with which one process starves another."""


@contextmanager
def lock(path: Path, *, patience: float = 0) -> Iterator[bool]:
    """Hold the lock of this file; yield False if another process or thread holds it for longer than this.

    Args:
        path: The file; made when it is missing.
        patience: Seconds.

    Raises:
        OSError: The file cannot be opened.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience
        while not (mine := _try_lock(file)) and time.monotonic() < deadline:
            time.sleep(POLL)
        yield mine
    finally:
        os.close(file)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
