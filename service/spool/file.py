"""The file under the spool: SQLite, made for a write-ahead log that survives a kill at any instant.

WAL with ``synchronous=FULL`` means that what is committed is on disk. The processes of one host share one file. What
is deleted is overwritten, and ``forget`` erases the remains, because they are patients' data.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.errors import SpoolUnavailableError
from service.spool.locks import POLL, lock
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = log.get_logger(__name__)

NAME = "spool.sqlite3"
BUSY_TIMEOUT = 0.5
"""Seconds that a write waits for another process, which holds the lock for one fsync."""
PAGE = 4096
ASIDE = "spool.damaged-"
RESERVE = 1024 * 1024
"""Bytes reserved for removing records: SQLite writes to delete, and could not on a full disk."""
LOG_PAGES = 100
"""Pages after which SQLite moves its log into the file. The reserve must hold the log: it cannot shrink before."""
FEW_PAGES = 1024
"""Pages that are rewritten in milliseconds, while nobody else can write."""
CLEAN = 1
"""The file's ``user_version`` if nothing was deleted since the file was last rewritten."""
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spooled (
  id INTEGER PRIMARY KEY AUTOINCREMENT, received_at TEXT NOT NULL, request_id TEXT, raw BLOB NOT NULL,
  digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS damaged (id INTEGER PRIMARY KEY, received_at TEXT, raw BLOB, found_at TEXT NOT NULL);
"""


class DamagedError(SpoolUnavailableError):
    """The file is no longer a database. It was set aside, and the next attempt creates a new one."""


class SpoolFile:
    """The file: opened on demand, and replaced if it is damaged. Safe to share between threads.

    Args:
        directory: Its directory; created if it is missing, and refused if others may write to it.
        max_bytes: How large it may grow; beyond that it is full, like a disk.

    Raises:
        SpoolUnavailableError: From every method, if the disk is full, read-only or broken, or not ours alone.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self.directory = directory
        self._path = directory / NAME
        self._log = directory / f"{NAME}-wal"
        self._reserve = directory / "reserve"
        self._max_pages = max(16, max_bytes // PAGE)
        self._connection: sqlite3.Connection | None = None
        self._opened: int | None = None
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Get the connection to the file at the spool's path, for this thread alone."""
        with self._one_at_a_time:
            try:
                if self._connection is None or self.was_replaced():
                    self._reopen()
                yield self._connection  # type: ignore[misc]  # _reopen made it
            except (sqlite3.Error, OSError) as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
                    self._replace()
                    raise DamagedError("the spool was damaged and is begun anew") from error
                self._close()
                raise SpoolUnavailableError("the spool cannot be used") from error

    def was_replaced(self) -> bool:
        """Tell whether another file is at the spool's path than the one that is open."""
        return self._inode() != self._opened

    def close(self) -> None:
        """Close the file; the next use reopens it."""
        with self._one_at_a_time:
            self._close()

    def size(self) -> int:
        """Say how many bytes the file and its log take on the disk."""
        return _size(self._path) + _size(self._log)

    def forget(self) -> None:
        """Erase what was deleted from the disk; not now if others write or the spool is large.

        SQLite overwrites what is deleted, but not what it moved within a page or to another page, so the file is
        rewritten. It also appends pages to its log and keeps the old ones until the log starts over, so the log is
        truncated.
        """
        with self.connected() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != CLEAN and _pages_in_use(connection) <= FEW_PAGES:
                _rewrite(connection)
            deadline = time.monotonic() + BUSY_TIMEOUT
            while _size(self._log):
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy or time.monotonic() > deadline:
                    break
                time.sleep(POLL)

    def give_up_reserve(self) -> None:
        """Free a little space on a full disk."""
        self._reserve.unlink(missing_ok=True)

    def make_directory(self) -> None:
        """Create the directory if it is missing; refuse one that someone else created there."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        forbidden = stat.S_IWOTH
        if self.directory.parent.stat().st_mode & stat.S_IWOTH:  # anyone may have been there first
            forbidden |= stat.S_IWGRP
            there = self.directory.lstat()  # of a link, not of what it leads to
            if stat.S_ISLNK(there.st_mode) or there.st_uid != os.geteuid():
                raise SpoolUnavailableError("the spool's directory was made by someone else")
        if self.directory.stat().st_mode & forbidden:
            raise SpoolUnavailableError("others may write to the spool's directory")

    def keep_reserve(self) -> None:
        """Reserve disk space that can be given up later, unless the disk is already too full."""
        if self._reserve.exists():
            return
        with suppress(OSError):
            file = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _allocate(file, RESERVE)
            except OSError:
                self._reserve.unlink()
            finally:
                os.close(file)

    def _inode(self) -> int | None:
        """Say which file is at the spool's path: another process may have set a damaged one aside."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _reopen(self) -> None:
        self._close()
        self.make_directory()
        with self._path_stays():
            # Created by us, so that the files that SQLite creates beside it are private too.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._opened = self._inode()
            self._open()

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> None:
        self._connection = connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = _text
        is_new = not _size(self._path)
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA max_page_count = {self._max_pages}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute("PRAGMA journal_size_limit = 1048576")
        connection.executescript(_SCHEMA)
        if is_new:
            connection.execute(f"PRAGMA user_version = {CLEAN}")
        connection.execute("PRAGMA busy_timeout = 0")  # from here on, we do the waiting

    @contextmanager
    def _path_stays(self) -> Iterator[None]:
        """Prevent other processes from setting the file aside or opening it meanwhile.

        A process that opens it halfway through a rename gets one file's pages and the other's log.
        """
        with lock(self.directory / "open.lock", patience=BUSY_TIMEOUT) as mine:
            if not mine:
                raise SpoolUnavailableError("another process keeps the spool to itself")
            yield

    def _replace(self) -> None:
        """Set aside a file that is no longer a database, and start a new one for the next events.

        It is closed after that: SQLite removes the log of a file that it closes, unless that was moved.
        """
        aside = f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%f}.sqlite3"
        with ExitStack() as stack, suppress(OSError):
            stack.callback(self._close)
            stack.enter_context(self._path_stays())
            if self.was_replaced():
                return  # another process did it, and events are already in the new file
            for ending in ("-shm", "-wal", ""):  # last the file by which the others are found
                with suppress(FileNotFoundError):
                    self._path.with_name(NAME + ending).rename(self.directory / (aside + ending))
        logger.error("the spool file is damaged: set aside and begun anew")


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Write in one transaction, which begins when no other process writes."""
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


@contextmanager
def hasty(connection: sqlite3.Connection) -> Iterator[None]:
    """Write as ``writing`` does, if there is no room to overwrite what is deleted."""
    connection.execute("PRAGMA secure_delete = OFF")
    try:
        with writing(connection):
            yield
    finally:
        connection.execute("PRAGMA secure_delete = ON")


def _rewrite(connection: sqlite3.Connection) -> None:
    """Rewrite the file with its contents only; not now if others write or the disk is full."""
    try:
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA user_version = {CLEAN}")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}:
            raise


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _pages_in_use(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(pages) - int(free)


def _allocate(file: int, size: int) -> None:
    """Allocate disk space for an empty file."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    while size > 0:  # macOS has no such call
        size -= os.write(file, bytes(size))


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")  # damage must be detected, but must not break the reading
