"""A real streaming replica: a primary of its own, and a standby made from its base backup."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.lab.postgres import EmbeddedPostgres
from service.postgres import schema
from service.postgres.sessions import connect
from tests.records import until

if TYPE_CHECKING:
    from collections.abc import Iterator

# Commits are waited for, as in production: that a replica is told of nothing which is not on disk is part of it.
SETTINGS = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on", "max_connections": "60"}


class Pair:
    """A primary and its standby, both running."""

    def __init__(self, primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
        self.primary = primary
        self.standby = standby

    def ask_standby(self, query: str) -> Any:  # noqa: ANN401 (whatever it answers)
        with connect(self.standby.url(), autocommit=True) as connection:
            row = connection.execute(query).fetchone()
            return row and row[0]

    def pause(self) -> None:
        """Have the standby replay nothing more, as one that is overloaded."""
        self.ask_standby("SELECT pg_wal_replay_pause()")
        until(lambda: self.ask_standby("SELECT pg_get_wal_replay_pause_state()") == "paused")

    def resume(self) -> None:
        self.ask_standby("SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        with connect(self.primary.url(), autocommit=True) as connection:
            row = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
        assert row is not None
        until(lambda: self.ask_standby(f"SELECT pg_last_wal_replay_lsn() >= '{row[0]}'"))

    def cut_off(self) -> None:
        """Have the standby hear nothing more from its primary, so that it believes it has replayed all."""
        with connect(self.standby.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.ask_standby("SELECT pg_reload_conf()")
        until(lambda: self.ask_standby("SELECT count(*) FROM pg_stat_wal_receiver") == 0)

    def reconnect(self) -> None:
        with connect(self.standby.url(), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET primary_conninfo = '{_conninfo(self.primary)}'")
        self.ask_standby("SELECT pg_reload_conf()")


@contextmanager
def opened_pair() -> Iterator[Pair]:
    """Bring up both, with the newest schema."""
    with (
        tempfile.TemporaryDirectory(prefix="cobalt-pair-", ignore_cleanup_errors=True) as directory,
        ExitStack() as stack,
    ):
        primary = EmbeddedPostgres(Path(directory) / "primary", settings=SETTINGS)
        stack.callback(primary.stop)
        primary.start()
        schema.upgrade(primary.url())
        standby = EmbeddedPostgres(Path(directory) / "standby", settings=SETTINGS)
        _back_up(primary, standby)
        stack.callback(standby.stop)
        standby.start()
        pair = Pair(primary, standby)
        pair.catch_up()
        yield pair


def _conninfo(server: EmbeddedPostgres) -> str:
    host = server.url().partition("host=")[2]
    return f"host={host.replace('%2F', '/')} user=postgres"


def _back_up(primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
    user = primary.process.user
    if user is not None:
        shutil.chown(standby.data, user, user)
    subprocess.run(  # noqa: S603 (our own command)
        [
            primary.bin_path / "pg_basebackup",
            *("--pgdata", standby.data, "--dbname", _conninfo(primary), "--write-recovery-conf"),
            *("--checkpoint", "fast", "--wal-method", "stream", "--no-sync"),
        ],
        check=True,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        cwd="/",
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    for left in standby.data.glob(".s.PGSQL.*"):  # the primary's socket is among its data
        left.unlink()
