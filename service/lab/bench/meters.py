"""What a measurement takes besides time: processor time of each kind of process, write-ahead log, memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from service.lab.processes import Process
from service.postgres.sessions import connect

MB = 1024 * 1024

_DATABASE = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS wal, wal_fpi::float8 AS pages FROM pg_stat_wal
"""


@dataclass(frozen=True)
class Reading:
    """Where the meters stood.

    Attributes:
        cpu: kind of process -> seconds of processor time so far.
        wal: bytes of write-ahead log so far.
        pages: whole pages in it so far: what was changed for the first time since a checkpoint.
    """

    cpu: Mapping[str, float]
    wal: float
    pages: float


def read_meters(processes: Mapping[str, Process], database_url: str) -> Reading:
    """Read all meters.

    Args:
        processes: kind -> its first process; descendants count as it.
        database_url: of the service's database.
    """
    cpu = {kind: cpu_seconds(process) for kind, process in processes.items() if process.is_running}
    with connect(database_url, autocommit=True) as connection:
        row = connection.execute(_DATABASE).fetchone()
    assert row is not None  # noqa: S101  the table is there
    return Reading(cpu, *row)


def costs_between(before: Reading, after: Reading, count: int) -> dict[str, float]:
    """What each of so many cost: microseconds of each kind of process, and bytes of write-ahead log."""
    if not count:
        return {}
    costs = {
        f"{kind} cpu, us": (after.cpu[kind] - before.cpu[kind]) / count * 1e6
        for kind in after.cpu
        if kind in before.cpu
    }
    costs["wal bytes"] = (after.wal - before.wal) / count
    costs["wal pages"] = (after.pages - before.pages) / count
    return costs


def cpu_seconds(process: Process) -> float:
    """Processor time of a process and its descendants, of those too that have ended meanwhile."""
    first = psutil.Process(process.pid)
    times = first.cpu_times()
    total = float(times.user + times.system + times.children_user + times.children_system)
    for one in first.children(recursive=True):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue  # it has just ended, and counts as its parent's child from now on
        total += float(times.user + times.system)
    return total


def memory(process: Process) -> list[float]:
    """Resident megabytes of each process that does the work: the children of a master, or else the process itself."""
    first = psutil.Process(process.pid)
    return sorted(float(one.memory_info().rss) / MB for one in first.children() or [first])
