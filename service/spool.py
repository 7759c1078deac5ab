"""Events on local disk, while PostgreSQL is away: taken with an fsync, given back oldest first.

SQLite, because a write-ahead log that survives a kill at any instant is what it is made for: WAL with
``synchronous=FULL`` means that a committed event is on disk. The processes of one host share one file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import stat
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service import log
from service.errors import SpoolUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

logger = log.get_logger(__name__)

BUSY_TIMEOUT = 0.5
"""Seconds that a write waits for another process's; each holds the lock for one fsync."""
POLL = 0.001
"""Seconds between looks whether a lock is free. SQLite's own go up to 0.1, with which one process starves another."""
PAGE = 4096
ASIDE = "spool.damaged-"
DRAINED_AT_ONCE = 4_000_000
"""Bytes of bodies that are given back together: PostgreSQL must be able to take them within its time-out."""
RESERVE = 1024 * 1024
"""Bytes kept free for taking things out: SQLite writes to delete, and on a full disk it could not."""
LOG_PAGES = 100
"""Pages after which SQLite moves its log into the file. The reserve must hold the log: it cannot shrink before."""
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spooled (
  id INTEGER PRIMARY KEY AUTOINCREMENT, received_at TEXT NOT NULL, request_id TEXT, raw BLOB NOT NULL,
  digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS damaged (id INTEGER PRIMARY KEY, received_at TEXT, raw BLOB, found_at TEXT NOT NULL);
"""


class _DamagedError(SpoolUnavailableError):
    """The file was no database any more; it is set aside, and the next try begins a new one."""


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
    """One host's spool. Safe to share between threads and processes.

    Args:
        directory: Where it is; made when it is missing, and refused when someone else may write to it.
        max_bytes: How large it may grow; beyond that it is full, like a disk.

    Raises:
        SpoolUnavailableError: From every method, when the disk is full, read-only or broken, or not ours alone.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._directory = directory
        self._path = directory / "spool.sqlite3"
        self._reserve = directory / "reserve"
        self._max_pages = max(16, max_bytes // PAGE)
        self._connection: sqlite3.Connection | None = None
        self._opened: int | None = None
        self._one_at_a_time = threading.Lock()

    def put(self, bodies: Sequence[Spooled]) -> None:
        """Put bodies on disk, all or none; when this returns they are there."""
        rows = [_row(body) for body in bodies]
        try:
            self._insert(rows)
        except _DamagedError:
            self._insert(rows)
        self._keep_reserve()

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        with self._connected() as connection:
            while True:
                with _writing(connection):
                    connection.executemany(
                        "INSERT INTO spooled (received_at, request_id, raw, digest) VALUES (?, ?, ?, ?)", rows
                    )
                if self._inode() == self._opened:
                    return
                # Set aside by another process just now: what went into that file nobody will drain.
                self._reopen()
                connection = self._connection or connection  # noqa: PLW2901

    def oldest(self, most: int, *, after: int = 0) -> list[Spooled]:
        """Read the bodies that have waited longest, behind the given one; a damaged one is set aside, never fatal."""
        while True:
            rows = self._rows(most, after)
            found = []
            for row in rows:
                row_id, received_at, _, raw, _ = row
                body = _read(*row)
                if body is None:
                    self._set_aside(row_id, received_at, raw)
                else:
                    found.append(body)
            if found or not rows:
                return found

    def _rows(self, most: int, after: int) -> list[tuple[Any, ...]]:
        rows = []
        size = 0
        with self._connected() as connection:
            query = "SELECT id, received_at, request_id, raw, digest FROM spooled WHERE id > ? ORDER BY id LIMIT ?"
            for row in connection.execute(query, (after, most)):
                rows.append(row)
                size += len(row[3] or b"")
                if size >= DRAINED_AT_ONCE:
                    break
        return rows

    def remove(self, bodies: Sequence[Spooled]) -> None:
        """Forget bodies that are kept elsewhere now."""
        self._take_out([body.id for body in bodies])

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

    def size(self) -> int:
        """Say how many bytes the spool takes on the disk."""
        sizes = 0
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            with suppress(OSError):
                sizes += path.stat().st_size
        return sizes

    def check(self) -> None:
        """Raise unless a body could be put now: a page is written, for only the commit finds a full disk."""
        with self._connected() as connection, _writing(connection):
            row = connection.execute(
                "INSERT INTO spooled (received_at, raw, digest) VALUES ('', ?, '')", (bytes(PAGE),)
            ).lastrowid
            connection.execute("DELETE FROM spooled WHERE id = ?", (row,))

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._one_at_a_time:
            self._close()

    @contextmanager
    def only_drainer(self) -> Iterator[bool]:
        """Hold the right to drain; yields False when another process of this host has it.

        The lock is the kernel's, so that a killed drainer does not keep it.
        """
        try:
            self._make_directory()
            lock = os.open(self._directory / "drain.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolUnavailableError("the spool cannot be opened") from error
        try:
            yield _lock(lock)
        finally:
            os.close(lock)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._one_at_a_time:
            try:
                if self._connection is None or self._inode() != self._opened:
                    self._reopen()
                yield self._connection  # type: ignore[misc]  # _reopen made it
            except (sqlite3.Error, OSError) as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
                    self._replace()
                    raise _DamagedError("the spool was damaged and is begun anew") from error
                self._close()
                raise SpoolUnavailableError("the spool cannot be used") from error

    def _inode(self) -> int | None:
        """Say which file is at the spool's path: another process may have set a damaged one aside."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _reopen(self) -> None:
        self._close()
        self._make_directory()
        with self._path_stays():
            # Made by us, so that what SQLite lays beside it is for nobody else's eyes either.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._opened = self._inode()
            self._connection = self._open()

    def _make_directory(self) -> None:
        """Make the directory when it is missing; what someone else laid there we neither read nor fill."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        forbidden = stat.S_IWOTH
        if self._directory.parent.stat().st_mode & stat.S_IWOTH:  # anyone may have been there first
            forbidden |= stat.S_IWGRP
            there = self._directory.lstat()  # of a link, not of what it leads to
            if stat.S_ISLNK(there.st_mode) or there.st_uid != os.geteuid():
                raise SpoolUnavailableError("the spool's directory was made by someone else")
        if self._directory.stat().st_mode & forbidden:
            raise SpoolUnavailableError("others may write to the spool's directory")

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        connection.text_factory = _text
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA max_page_count = {self._max_pages}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            connection.execute("PRAGMA journal_size_limit = 1048576")
            connection.executescript(_SCHEMA)
            connection.execute("PRAGMA busy_timeout = 0")  # from here on we wait ourselves
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _path_stays(self) -> Iterator[None]:
        """Keep other processes from setting the file aside, or from opening it meanwhile.

        Who opens it halfway through a renaming has one file's pages and the other's log.
        """
        lock = os.open(self._directory / "open.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + BUSY_TIMEOUT
            while not _lock(lock):
                if time.monotonic() > deadline:
                    raise SpoolUnavailableError("another process keeps the spool to itself")
                time.sleep(POLL)
            yield
        finally:
            os.close(lock)

    def _keep_reserve(self) -> None:
        if self._reserve.exists():
            return
        with suppress(OSError):
            file = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _allocate(file, RESERVE)
            except OSError:
                self._reserve.unlink()  # there is too little room already
            finally:
                os.close(file)

    def _take_out(self, row_ids: Sequence[int], damaged: Sequence[tuple[object, ...]] = ()) -> None:
        """Have less wait in the file, also when the disk is full; what is damaged is kept apart."""
        try:
            self._delete(row_ids, damaged)
        except SpoolUnavailableError as error:
            if getattr(error.__cause__, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
                raise
            self._reserve.unlink(missing_ok=True)
            for row_id in row_ids:  # what is deleted is overwritten, which takes room of its own
                self._delete([row_id], damaged)

    def _delete(self, row_ids: Sequence[int], damaged: Sequence[tuple[object, ...]]) -> None:
        with self._connected() as connection, _writing(connection):
            connection.executemany("DELETE FROM spooled WHERE id = ?", [(row_id,) for row_id in row_ids])
            connection.executemany("INSERT OR REPLACE INTO damaged VALUES (?, ?, ?, ?)", damaged)

    def _set_aside(self, row_id: int, received_at: object, raw: object) -> None:
        self._take_out([row_id], [(row_id, received_at, raw, datetime.now(UTC).isoformat())])
        logger.error("a spooled body is damaged: set aside", count=1)

    def _replace(self) -> None:
        """Set a file aside that is no database any more, and begin anew: the next events must be taken."""
        self._close()
        aside = f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%f}.sqlite3"
        with suppress(OSError), self._path_stays():
            if self._inode() != self._opened:
                return  # another process did it, and events are in the new one already
            for ending in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self._path.with_name(self._path.name + ending).rename(self._directory / (aside + ending))
        logger.error("the spool file is damaged: set aside and begun anew")


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(POLL)
    with connection:
        yield


def _allocate(file: int, size: int) -> None:
    """Take room on the disk for a file that is empty."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    while size > 0:  # macOS has no such call
        size -= os.write(file, bytes(size))


def _row(body: Spooled) -> tuple[object, ...]:
    received_at = body.received_at.isoformat()
    return received_at, body.request_id, body.raw, _digest(received_at, body.request_id, body.raw)


def _read(row_id: int, received_at: str, request_id: str | None, raw: bytes, digest: bytes) -> Spooled | None:
    """Read a record; None when it is damaged."""
    try:
        if _digest(received_at, request_id, raw) == digest:
            return Spooled(raw, datetime.fromisoformat(received_at), request_id, row_id)
    except (ValueError, TypeError, AttributeError):  # a flipped bit can change the type as well
        pass
    return None


def _digest(received_at: str, request_id: str | None, raw: bytes) -> bytes:
    beginning = f"{received_at}\n{request_id or ''}\n".encode()
    return hashlib.sha256(beginning + raw).digest()


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")  # what is damaged is to be found out, not to break the reading


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
