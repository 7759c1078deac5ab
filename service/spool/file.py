"""The file under the spool: SQLite, made for a write-ahead log that survives a kill at any instant.

WAL with ``synchronous=FULL`` means that what is committed is on disk. The processes of one host share one file. What
is deleted is overwritten, and ``forget`` sees to what that leaves: it is patients' data.
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
"""Seconds that a write waits for another process's; each holds the lock for one fsync."""
PAGE = 4096
ASIDE = "spool.damaged-"
RESERVE = 1024 * 1024
"""Bytes kept free for taking things out: SQLite writes to delete, and on a full disk it could not."""
LOG_PAGES = 100
"""Pages after which SQLite moves its log into the file. The reserve must hold the log: it cannot shrink before."""
FEW_PAGES = 1024
"""Pages that are rewritten in milliseconds, while nobody else can write."""
CLEAN = 1
"""The file's ``user_version`` while nothing has been deleted since it was last written anew."""
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spooled (
  id INTEGER PRIMARY KEY AUTOINCREMENT, received_at TEXT NOT NULL, request_id TEXT, raw BLOB NOT NULL,
  digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS damaged (id INTEGER PRIMARY KEY, received_at TEXT, raw BLOB, found_at TEXT NOT NULL);
"""


class DamagedError(SpoolUnavailableError):
    """The file was no database any more; it is set aside, and the next try begins a new one."""


class SpoolFile:
    """The file, opened when it is needed, and begun anew when it is damaged. Safe to share between threads.

    Args:
        directory: Where it is; made when it is missing, and refused when someone else may write to it.
        max_bytes: How large it may grow; beyond that it is full, like a disk.

    Raises:
        SpoolUnavailableError: From every method, when the disk is full, read-only or broken, or not ours alone.
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
        """Let go of the file; the next use opens it again."""
        with self._one_at_a_time:
            self._close()

    def size(self) -> int:
        """Say how many bytes the file and its log take on the disk."""
        return _size(self._path) + _size(self._log)

    def forget(self) -> None:
        """Leave nothing of what was deleted on the disk; later, while others write or very much else waits.

        SQLite overwrites what is deleted, but not what it moved within a page or to another one: the file is written
        anew. And it appends pages to its log, and begins that from the top when it likes: until then pages stand in it
        as they were. It is cut off.
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
        """Have a little room on a full disk."""
        self._reserve.unlink(missing_ok=True)

    def make_directory(self) -> None:
        """Make the directory when it is missing; what someone else laid there we neither read nor fill."""
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
        """Have room on the disk that can be given up, unless there is too little already."""
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
            # Made by us, so that what SQLite lays beside it is for nobody else's eyes either.
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
        connection.execute("PRAGMA busy_timeout = 0")  # from here on we wait ourselves

    @contextmanager
    def _path_stays(self) -> Iterator[None]:
        """Keep other processes from setting the file aside, or from opening it meanwhile.

        Who opens it halfway through a renaming has one file's pages and the other's log.
        """
        with lock(self.directory / "open.lock", patience=BUSY_TIMEOUT) as mine:
            if not mine:
                raise SpoolUnavailableError("another process keeps the spool to itself")
            yield

    def _replace(self) -> None:
        """Set a file aside that is no database any more, and begin anew: the next events must be taken.

        It is closed after that: SQLite removes the log of a file that it closes, unless that was moved.
        """
        aside = f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%f}.sqlite3"
        with ExitStack() as stack, suppress(OSError):
            stack.callback(self._close)
            stack.enter_context(self._path_stays())
            if self.was_replaced():
                return  # another process did it, and events are in the new one already
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
    """Write as ``writing`` does, where there is no room to overwrite what is deleted."""
    connection.execute("PRAGMA secure_delete = OFF")
    try:
        with writing(connection):
            yield
    finally:
        connection.execute("PRAGMA secure_delete = ON")


def _rewrite(connection: sqlite3.Connection) -> None:
    """Write anew what is in the file, and nothing else; later, where others write or the disk is full."""
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
    """Take room on the disk for a file that is empty."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    while size > 0:  # macOS has no such call
        size -= os.write(file, bytes(size))


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")  # what is damaged is to be found out, not to break the reading
