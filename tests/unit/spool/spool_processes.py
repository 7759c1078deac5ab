"""Processes that use a spool until somebody kills them, and print what was acknowledged to them.

``python -m tests.unit.spool.spool_processes put|drain|forget|hold DIRECTORY NAME``
"""

# ruff: noqa: T201  printing is what they are for

from __future__ import annotations

import itertools
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from service.errors import SpoolUnavailableError
from service.spool import Spool, Spooled

MAX_BYTES = 64 * 1024 * 1024


def put(spool: Spool, name: str) -> None:
    """Print each name when it is on disk."""
    for number in itertools.count():
        body = f"{name}-{number}"
        raw = body.encode() * (number % 7 * 300 + 1 if name.startswith("long") else 1)
        while True:
            with suppress(SpoolUnavailableError):  # on a busy machine, not taken in time: Cobalt comes again
                spool.put([Spooled(raw, datetime.now(UTC))])
                break
        print(body, flush=True)


def drain(spool: Spool) -> None:
    """Print what is taken out, before it is."""
    while True:
        try:
            with spool.only_drainer() as mine:
                waiting = spool.oldest(50) if mine else []
                print(*(one.raw.decode() for one in waiting), sep="\n", end="\n" if waiting else "", flush=True)
                spool.remove(waiting)
        except SpoolUnavailableError as error:
            if "locked" not in str(error.__cause__):
                print(f"trouble: {error.__cause__!r}", flush=True)


def forget(spool: Spool) -> None:
    """Drain as the service does, all that waits, and print when nothing of it is to be left."""
    while True:
        with suppress(SpoolUnavailableError), spool.only_drainer() as mine:
            if mine:
                while waiting := spool.oldest(20):
                    spool.remove(waiting)
                spool.forget()
                print("forgotten", flush=True)


def hold(spool: Spool) -> None:
    """Keep the right to drain."""
    with spool.only_drainer() as mine:
        print(mine, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    what, directory, name = sys.argv[1:]
    the_spool = Spool(Path(directory), max_bytes=MAX_BYTES)
    if what == "put":
        put(the_spool, name)
    elif what == "drain":
        drain(the_spool)
    elif what == "forget":
        forget(the_spool)
    else:
        hold(the_spool)
