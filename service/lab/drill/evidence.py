"""What both sides have on record: ours from the tables, Cobalt's from the sandbox's control surface."""

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from psycopg.rows import dict_row

from service.lab.processes import NO_TLS
from service.lab.stack import Stack
from service.postgres.sessions import connect

# Plain SQL and no code of the service's: a bug there must not hide itself here.
_APPOINTMENTS = """
SELECT a.id, a.mrn, a.status, a.submission, a.failure_category, a.failures, a.cobalt_appointment_id, a.last_error,
  e.source AS learned_by, e.id AS learned_from,
  (SELECT s.outcome FROM submissions s WHERE s.appointment_id = a.id ORDER BY s.id DESC LIMIT 1) AS last_call
FROM appointments a LEFT JOIN events e ON e.id = a.ruling_event_id
"""
_DELIVERIES = "SELECT event_id, source, disposition FROM deliveries"
_EVENTS = "SELECT id, disposition, source, cobalt_appointment_id FROM events"
_QUARANTINE = "SELECT raw, reason, deliveries FROM quarantine"
_UNSETTLED = "SELECT count(*) FROM appointments WHERE status = 'processing'"

SWEPT = "events were waiting for a known appointment"  # what the worker logs

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ours:
    """What the service has after the drill: its tables, and what is in the spools.

    Attributes:
        swept: how often a worker found an event that had been overlooked.
    """

    appointments: Sequence[Row]
    events: Sequence[Row]
    deliveries: Sequence[Row]
    quarantine: Sequence[Row]
    spooled: int
    damaged: int
    swept: int

    @property
    def quarantined_ids(self) -> Counter[str]:
        """The events whose bytes lie in quarantine -> how often they were delivered."""
        found: Counter[str] = Counter()
        for row in self.quarantine:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                found[json.loads(bytes(row["raw"]))["id"]] += row["deliveries"]
        return found


@dataclass(frozen=True, kw_only=True)
class Cobalts:
    """What the sandbox did and what it saw."""

    appointments: Sequence[Row]
    events: Sequence[Row]
    deliveries: Sequence[Row]
    stats: Mapping[str, int]


def read_ours(stack: Stack, spool_dirs: Sequence[Path]) -> Ours:
    """Read the tables and the spools."""
    depths = [spool_depth(directory) for directory in spool_dirs]
    with connect(stack.database_url, row_factory=dict_row, autocommit=True) as connection:
        return Ours(
            swept=sum(_swept(worker.log) for worker in stack.workers),
            appointments=connection.execute(_APPOINTMENTS).fetchall(),
            events=connection.execute(_EVENTS).fetchall(),
            deliveries=connection.execute(_DELIVERIES).fetchall(),
            quarantine=connection.execute(_QUARANTINE).fetchall(),
            spooled=sum(waiting for waiting, _ in depths),
            damaged=sum(damaged for _, damaged in depths),
        )


def read_cobalts(stack: Stack) -> Cobalts:
    """Ask the sandbox for everything it knows."""
    return Cobalts(
        appointments=_control(stack, "appointments")["appointments"],
        events=_control(stack, "events")["events"],
        deliveries=_control(stack, "deliveries")["deliveries"],
        stats=sandbox_stats(stack),
    )


def sandbox_stats(stack: Stack) -> Mapping[str, int]:
    """The sandbox's counts."""
    counts: dict[str, int] = _control(stack, "stats")
    return counts


def unsettled(stack: Stack) -> int:
    """How many appointments still process."""
    with connect(stack.database_url, autocommit=True, connect_timeout=5) as connection:
        row = connection.execute(_UNSETTLED).fetchone()
    return int(row[0]) if row else 0


def spool_depth(directory: Path) -> tuple[int, int]:
    """How many events wait in a spool, and how many were set aside there as damaged."""
    path = directory / "spool.sqlite3"
    aside = len({path.name.split(".")[1] for path in directory.glob("spool.damaged-*")})
    if not path.exists():
        return 0, aside
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
        try:
            waiting = connection.execute("SELECT count(*) FROM spooled").fetchone()[0]
            damaged = connection.execute("SELECT count(*) FROM damaged").fetchone()[0]
        except sqlite3.OperationalError:
            return 0, aside  # it was made, but nothing was ever put there
    return int(waiting), int(damaged) + aside


def _swept(log: Path) -> int:
    """How many events a worker found waiting for an appointment that was known."""
    lines = log.read_text(errors="replace").splitlines()
    return sum(json.loads(line)["count"] for line in lines if line.startswith("{") and SWEPT in line)


def _control(stack: Stack, what: str) -> Any:  # noqa: ANN401  JSON
    url = stack.sandbox_url.removesuffix("/v1") + f"/_sandbox/{what}"
    return httpx.get(url, timeout=60, trust_env=False, verify=NO_TLS).raise_for_status().json()
