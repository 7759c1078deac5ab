"""The operations of a host's spool."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.errors import SpoolUnavailableError
from service.spool import records
from service.spool.file import PAGE, DamagedError, SpoolFile, hasty, writing
from service.spool.locks import lock
from service.spool.salvage import left_aside, salvage
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from service.spool.records import Spooled

logger = log.get_logger(__name__)

DRAINED_AT_ONCE = 4_000_000
"""Bytes of bodies that are returned together: PostgreSQL must be able to process them within its time-out."""

_PUT = "INSERT INTO spooled (received_at, request_id, raw, digest) VALUES (?, ?, ?, ?)"
_SET_ASIDE = "INSERT OR REPLACE INTO damaged VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Depth:
    """How many events wait, and since when."""

    count: int
    damaged: int
    oldest: datetime | None


class Spool:
    """One host's spool. Safe to share between threads and processes.

    Args:
        directory: Its directory; created if it is missing, and refused if others may write to it.
        max_bytes: How large it may grow; beyond that it is full, like a disk.

    Raises:
        SpoolUnavailableError: From every method, if the disk is full, read-only or broken, or not ours alone.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._directory = directory
        self._file = SpoolFile(directory, max_bytes=max_bytes)

    def put(self, bodies: Sequence[Spooled]) -> None:
        """Store bodies on disk, all or none; they are durable when this returns."""
        rows = [records.written(body) for body in bodies]
        try:
            self._insert(_PUT, rows)
        except DamagedError:
            self._insert(_PUT, rows)
        self._file.keep_reserve()

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        while True:
            with self._file.connected() as connection:
                with writing(connection):
                    connection.executemany(statement, rows)
                if not self._file.was_replaced():
                    return
                # Another process has just set it aside: nobody would drain what went into that file.

    def oldest(self, most: int, *, after: int = 0) -> list[Spooled]:
        """Read the bodies that have waited longest, after the given one; a damaged one is set aside and never fatal."""
        while True:
            rows = self._rows(most, after)
            found = []
            for row in rows:
                row_id, received_at, _, raw, _ = row
                body = records.read(*row)
                if body is None:
                    self._set_aside(row_id, received_at, raw)
                else:
                    found.append(body)
            if found or not rows:
                return found

    def _rows(self, most: int, after: int) -> list[tuple[Any, ...]]:
        rows = []
        size = 0
        with self._file.connected() as connection:
            query = "SELECT id, received_at, request_id, raw, digest FROM spooled WHERE id > ? ORDER BY id LIMIT ?"
            for row in connection.execute(query, (after, most)):
                rows.append(row)
                size += len(row[3] or b"")
                if size >= DRAINED_AT_ONCE:
                    break
        return rows

    def remove(self, bodies: Sequence[Spooled]) -> None:
        """Remove bodies that PostgreSQL has; ``forget`` erases them from the disk."""
        self._take_out([body.id for body in bodies])

    def forget(self) -> None:
        """Erase what was removed from the disk. The drainer calls it after each round: it is cheap."""
        self._file.forget()

    def salvage(self) -> None:
        """Store again what can be recovered from files that were set aside; called by the drainer."""
        try:
            salvage(self._directory, self._take_in)
        except OSError as error:
            raise SpoolUnavailableError("the spool cannot be used") from error

    def _take_in(self, whole: Sequence[Spooled], broken: Sequence[tuple[object, ...]]) -> None:
        self._insert(_PUT, [records.written(body) for body in whole])
        self._insert(_SET_ASIDE, broken)

    def depth(self) -> Depth:
        """Return how much waits."""
        with self._file.connected() as connection:
            count, oldest = connection.execute(
                "SELECT count(*), (SELECT received_at FROM spooled ORDER BY id LIMIT 1) FROM spooled"
            ).fetchone()
            damaged = connection.execute("SELECT count(*) FROM damaged").fetchone()[0]
        damaged += len(left_aside(self._directory))
        with suppress(TypeError, ValueError):
            return Depth(count, damaged, datetime.fromisoformat(oldest) if oldest else None)
        return Depth(count, damaged, None)

    def size(self) -> int:
        """Return how many bytes the spool takes on the disk."""
        return self._file.size()

    def check(self) -> None:
        """Raise unless a body could be stored now: a page is written, because only a commit detects a full disk."""
        with self._file.connected() as connection, writing(connection):
            row = connection.execute(
                "INSERT INTO spooled (received_at, raw, digest) VALUES ('', ?, '')", (bytes(PAGE),)
            ).lastrowid
            connection.execute("DELETE FROM spooled WHERE id = ?", (row,))

    def close(self) -> None:
        """Close the file; the next use reopens it."""
        self._file.close()

    @contextmanager
    def only_drainer(self) -> Iterator[bool]:
        """Hold the right to drain; yield False if another process of this host has it."""
        with ExitStack() as stack:
            try:
                self._file.make_directory()
                mine = stack.enter_context(lock(self._directory / "drain.lock"))
            except OSError as error:
                raise SpoolUnavailableError("the spool cannot be opened") from error
            yield mine

    def _take_out(self, row_ids: Sequence[int], damaged: Sequence[tuple[object, ...]] = ()) -> None:
        """Remove records from the file, even on a full disk; keep damaged ones apart."""
        try:
            with self._file.connected() as connection, writing(connection):
                _delete(connection, row_ids, damaged)
        except SpoolUnavailableError as error:
            if getattr(error.__cause__, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
                raise
            self._file.give_up_reserve()
            for row_id in row_ids:  # what is written to delete takes room of its own
                with self._file.connected() as connection, hasty(connection):
                    _delete(connection, [row_id], damaged)

    def _set_aside(self, row_id: int, received_at: object, raw: object) -> None:
        self._take_out([row_id], [(row_id, received_at, raw, datetime.now(UTC).isoformat())])
        logger.error("a spooled body is damaged: set aside", count=1)


def _delete(connection: sqlite3.Connection, row_ids: Sequence[int], damaged: Sequence[tuple[object, ...]]) -> None:
    connection.execute("PRAGMA user_version = 0")  # no longer clean: see forget
    connection.executemany("DELETE FROM spooled WHERE id = ?", [(row_id,) for row_id in row_ids])
    connection.executemany(_SET_ASIDE, damaged)
