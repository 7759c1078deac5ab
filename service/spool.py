"""Events on local disk, while PostgreSQL is away: taken with an fsync, given back oldest first.

SQLite, because a write-ahead log that survives a kill at any instant is what it is made for: WAL with
``synchronous=FULL`` means that a committed event is on disk. The processes of one host share one file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service import log
from service.errors import SpoolUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

logger = log.get_logger(__name__)

BUSY_TIMEOUT = 0.5
"""Seconds that a write waits for another process's; each holds the lock for one fsync."""
PAGE = 4096
ASIDE = "spool.damaged-"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spooled (
  id INTEGER PRIMARY KEY AUTOINCREMENT, received_at TEXT NOT NULL, request_id TEXT, raw BLOB NOT NULL,
  digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS damaged (id INTEGER PRIMARY KEY, received_at TEXT, raw BLOB, found_at TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Spooled:
    """One authentic body that waits on disk.

    Args:
        id: Its place in the order of arrival; 0 before it is put.
        raw: The body, byte for byte.
        received_at: When it came.
        request_id: Of the HTTP request that brought it.
    """

    raw: bytes
    received_at: datetime
    request_id: str | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits, and since when."""

    count: int
    damaged: int
    oldest: datetime | None


class Spool:
    """One host's spool. Safe to share between threads, greenlets and processes.

    Args:
        directory: Where it is; made when it is missing.
        max_bytes: How large it may grow; beyond that it is full, like a disk.

    Raises:
        SpoolUnavailableError: From every method, when the disk is full, read-only or broken.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._directory = directory
        self._path = directory / "spool.sqlite3"
        self._max_pages = max(16, max_bytes // PAGE)
        self._connection: sqlite3.Connection | None = None
        self._opened: int | None = None
        self._one_at_a_time = threading.Lock()

    def put(self, bodies: Sequence[Spooled]) -> None:
        """Put bodies on disk, all or none; when this returns they are there."""
        rows = [(body.received_at.isoformat(), body.request_id, body.raw, _digest(body.raw)) for body in bodies]
        with self._connected() as connection:
            while True:
                with connection:
                    connection.executemany(
                        "INSERT INTO spooled (received_at, request_id, raw, digest) VALUES (?, ?, ?, ?)", rows
                    )
                if self._inode() == self._opened:
                    return
                # Set aside by another process just now: what went into that file nobody will drain.
                self._reopen()
                connection = self._connection or connection  # noqa: PLW2901

    def oldest(self, most: int) -> list[Spooled]:
        """Read the bodies that have waited longest; a damaged one is set aside, never fatal."""
        with self._connected() as connection:
            rows = connection.execute(
                "SELECT id, received_at, request_id, raw, digest FROM spooled ORDER BY id LIMIT ?", (most,)
            ).fetchall()
        found = []
        for row_id, received_at, request_id, raw, digest in rows:
            body = _read(row_id, received_at, request_id, raw, digest)
            if body is None:
                self._set_aside(row_id)
            else:
                found.append(body)
        return found

    def remove(self, bodies: Sequence[Spooled]) -> None:
        """Forget bodies that are kept elsewhere now."""
        with self._connected() as connection, connection:
            connection.executemany("DELETE FROM spooled WHERE id = ?", [(body.id,) for body in bodies])

    def depth(self) -> Depth:
        """Say how much waits."""
        with self._connected() as connection:
            count, oldest = connection.execute(
                "SELECT count(*), (SELECT received_at FROM spooled ORDER BY id LIMIT 1) FROM spooled"
            ).fetchone()
            damaged = connection.execute("SELECT count(*) FROM damaged").fetchone()[0]
        damaged += len(list(self._directory.glob(f"{ASIDE}*.sqlite3")))
        with suppress(TypeError, ValueError):
            return Depth(count, damaged, datetime.fromisoformat(oldest) if oldest else None)
        return Depth(count, damaged, None)

    def check(self) -> None:
        """Raise unless a body could be put now: the write lock can be had and a page written."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute("INSERT INTO spooled (received_at, raw, digest) VALUES ('', ?, '')", (bytes(PAGE),))
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def only_drainer(self) -> Iterator[bool]:
        """Hold the right to drain; yields False when another process of this host has it.

        The lock is the kernel's, so that a killed drainer does not keep it.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._directory / "drain.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolUnavailableError("the spool cannot be opened") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(lock)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._one_at_a_time:
            try:
                if self._connection is None or self._inode() != self._opened:
                    self._reopen()
                yield self._connection  # type: ignore[misc]  # _reopen made it
            except (sqlite3.OperationalError, OSError) as error:
                self._close()
                raise SpoolUnavailableError("the spool cannot be used") from error
            except sqlite3.DatabaseError as error:
                self._replace()
                raise SpoolUnavailableError("the spool was damaged and is begun anew") from error

    def _inode(self) -> int | None:
        """Say which file is at the spool's path: another process may have set a damaged one aside."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _reopen(self) -> None:
        self._close()
        self._connection = self._open()
        self._opened = self._inode()

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level="IMMEDIATE", check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA max_page_count = {self._max_pages}")
            connection.execute("PRAGMA journal_size_limit = 1048576")
            connection.executescript(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        self._path.chmod(0o600)
        return connection

    def _set_aside(self, row_id: int) -> None:
        with self._connected() as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO damaged SELECT id, received_at, raw, ? FROM spooled WHERE id = ?",
                (datetime.now(UTC).isoformat(), row_id),
            )
            connection.execute("DELETE FROM spooled WHERE id = ?", (row_id,))
        logger.error("a spooled body is damaged: set aside", count=1)

    def _replace(self) -> None:
        """Set a file aside that is no database any more, and begin anew: the next events must be taken."""
        self._close()
        aside = f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%f}.sqlite3"
        for ending in ("", "-wal", "-shm"):
            with suppress(OSError):
                self._path.with_name(self._path.name + ending).rename(self._directory / (aside + ending))
        logger.error("the spool file is damaged: set aside and begun anew")


def _read(row_id: int, received_at: str, request_id: str | None, raw: bytes, digest: bytes) -> Spooled | None:
    """Read a record; None when it is damaged."""
    try:
        return Spooled(raw, datetime.fromisoformat(received_at), request_id, row_id) if _digest(raw) == digest else None
    except (ValueError, TypeError):
        return None


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()
