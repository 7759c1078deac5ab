"""Whatever was put on disk is given back once, through kills, damage and full disks."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.errors import SpoolUnavailableError
from service.spool import RESERVE, Spool, Spooled
from service.spool.file import SpoolFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
ROOMY = 64 * 1024 * 1024
PROJECT = Path(__file__).parents[3]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def open_spool(directory: Path) -> Iterator[Callable[..., Spool]]:
    """Opens the spool as one more process of the host would."""
    opened: list[Spool] = []

    def open_one(max_bytes: int = ROOMY, where: Path = directory) -> Spool:
        opened.append(Spool(where, max_bytes=max_bytes))
        return opened[-1]

    yield open_one
    for spool in opened:
        spool.close()


@pytest.fixture
def spool(open_spool: Callable[..., Spool]) -> Spool:
    return open_spool()


def bodies(*names: str) -> list[Spooled]:
    return [Spooled(name.encode(), NOW + timedelta(seconds=number), f"req_{name}") for number, name in enumerate(names)]


def waiting(spool: Spool, most: int = 1000) -> list[str]:
    return [one.raw.decode() for one in spool.oldest(most)]


def drain(spool: Spool) -> list[str]:
    drained = []
    while found := spool.oldest(100):
        drained += [one.raw.decode() for one in found]
        spool.remove(found)
    return drained


def fill(spool: Spool, size: int, at_once: int = 1) -> int:
    """Put bodies until no more are taken; returns how many were."""
    taken = 0
    while True:
        try:
            spool.put([Spooled(b"x" * size, NOW)] * at_once)
        except SpoolUnavailableError:
            return taken
        taken += at_once


def change(directory: Path, statement: str) -> None:
    """Change the file behind the spool's back."""
    with closing(sqlite3.connect(directory / "spool.sqlite3")) as connection, connection:
        connection.execute(statement)


def test_what_was_put_is_given_back_as_it_was(spool: Spool) -> None:
    raw = bytes(range(256))
    spool.put([Spooled(raw, NOW, "req_1"), Spooled(b"", NOW)])

    first, second = spool.oldest(10)

    assert (first.raw, first.received_at, first.request_id) == (raw, NOW, "req_1")
    assert (second.raw, second.received_at, second.request_id) == (b"", NOW, None)


def test_the_oldest_come_first_and_again_until_they_are_removed(spool: Spool) -> None:
    spool.put(bodies("a", "b"))
    spool.put(bodies("c"))

    assert waiting(spool, 2) == ["a", "b"]
    assert waiting(spool) == ["a", "b", "c"]
    spool.remove(spool.oldest(1))
    assert waiting(spool) == ["b", "c"]
    assert [one.raw for one in spool.oldest(5, after=spool.oldest(1)[0].id)] == [b"c"]


def test_depth_counts_and_names_the_oldest(spool: Spool) -> None:
    empty = spool.depth()
    spool.put(bodies("a", "b"))
    full = spool.depth()

    assert (empty.count, empty.damaged, empty.oldest) == (0, 0, None)
    assert (full.count, full.damaged, full.oldest) == (2, 0, NOW)


def test_another_process_sees_what_was_put(spool: Spool, open_spool: Callable[..., Spool]) -> None:
    spool.put(bodies("a"))

    assert waiting(open_spool()) == ["a"]


def test_large_bodies_are_given_back_a_few_at_a_time(spool: Spool) -> None:
    spool.put([Spooled(bytes(1024 * 1024), NOW) for _ in range(20)])

    assert len(spool.oldest(200)) == 4


def test_a_commit_is_on_disk_before_put_returns(spool: Spool) -> None:
    spool.put(bodies("a"))

    connection = spool._file._connection  # noqa: SLF001  what the connection was told is not to be seen from outside
    assert connection is not None
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_nobody_else_may_read_what_waits(spool: Spool, directory: Path) -> None:
    spool.put(bodies("a"))

    assert {path.name: path.stat().st_mode & 0o077 for path in directory.iterdir() if path.stat().st_mode & 0o077} == {}
    assert directory.stat().st_mode & 0o077 == 0


def test_a_check_leaves_nothing_behind(spool: Spool) -> None:
    spool.check()
    spool.put(bodies("a"))
    spool.check()

    assert waiting(spool) == ["a"]
    assert spool.depth().count == 1


@contextmanager
def process(what: str, directory: Path, name: str = "") -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.unit.spool.spool_processes", what, str(directory), name]
    with subprocess.Popen(  # noqa: S603  our own module
        argv, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def read_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def kill(running: subprocess.Popen[str]) -> list[str]:
    """Kill it at once; returns the whole lines that it had printed and nobody has read."""
    running.kill()
    assert running.stdout is not None
    printed = running.stdout.read()
    return printed.rpartition("\n")[0].splitlines()


def test_killed_putters_and_drainers_lose_and_double_nothing(spool: Spool, directory: Path) -> None:
    draw = random.Random(3)  # noqa: S311  not a secret
    directory.mkdir()
    acknowledged: list[str] = []
    taken: list[str] = []

    for life in range(3):
        with (
            process("put", directory, f"{life}a") as one,
            process("put", directory, f"{life}b") as other,
            process("drain", directory) as drainer,
        ):
            for putter in (one, other):
                acknowledged += [read_line(putter) for _ in range(draw.randrange(5, 60))]
            taken += [read_line(drainer) for _ in range(draw.randrange(1, 40))]
            for victim, seen in draw.sample([(one, acknowledged), (other, acknowledged), (drainer, taken)], 3):
                seen.extend(kill(victim))
    left = drain(spool)

    assert not [line for line in taken if line.startswith("trouble")]
    assert not set(acknowledged) - set(taken) - set(left)
    # What a drainer had taken and was killed before it could remove it is there again: one batch each life.
    assert len(taken) - len(set(taken)) + len(set(taken) & set(left)) <= 3 * 50
    assert len(left) == len(set(left))
    for name in {line.partition("-")[0] for line in taken + left}:
        numbers = [int(line.rpartition("-")[2]) for line in dict.fromkeys(taken + left) if line.startswith(f"{name}-")]
        assert numbers == list(range(len(numbers)))


def test_only_one_process_drains_and_a_kill_lets_the_next_one(spool: Spool, directory: Path) -> None:
    with process("hold", directory) as holder:
        assert read_line(holder) == "True"
        with spool.only_drainer() as mine:
            assert not mine
        holder.kill()
        holder.wait()

        with spool.only_drainer() as mine:
            assert mine


def test_a_thread_of_the_same_process_does_not_drain_beside_it(spool: Spool, open_spool: Callable[..., Spool]) -> None:
    with spool.only_drainer() as first, open_spool().only_drainer() as second:
        assert (first, second) == (True, False)
    with spool.only_drainer() as again:
        assert again


@pytest.mark.parametrize(
    "damage",
    [
        "raw = x'00' || substr(raw, 2)",
        "raw = 'now a text'",
        "raw = NULL",
        "digest = x'00'",
        "digest = 5",
        "received_at = 'yesterday'",
        "received_at = CAST(x'ff32' AS TEXT)",
        "received_at = x'ff'",
        "received_at = '2026-01-01T12:00:00+00:00'",
        "request_id = CAST(x'ff' AS TEXT)",
        "request_id = 'another'",
    ],
)
def test_a_damaged_record_is_set_aside_and_the_others_go_on(spool: Spool, directory: Path, damage: str) -> None:
    spool.put(bodies("a", "b", "c"))
    change(directory, "CREATE TABLE loose AS SELECT * FROM spooled")  # without NOT NULL, as bits on a disk are
    change(directory, "DROP TABLE spooled")
    change(directory, "ALTER TABLE loose RENAME TO spooled")
    change(directory, f"UPDATE spooled SET {damage} WHERE id = 2")  # noqa: S608  our own words

    assert waiting(spool) == ["a", "c"]
    depth = spool.depth()
    assert (depth.count, depth.damaged) == (2, 1)
    assert drain(spool) == ["a", "c"]


def test_more_damaged_records_than_a_batch_holds_do_not_hide_the_good_one(spool: Spool, directory: Path) -> None:
    spool.put(bodies("a", "b", "c", "d"))
    change(directory, "UPDATE spooled SET digest = x'00' WHERE id < 4")

    assert waiting(spool, 2) == ["d"]
    assert spool.depth().damaged == 3


def test_a_damaged_record_in_a_full_spool_does_not_stop_the_draining(
    directory: Path, open_spool: Callable[..., Spool]
) -> None:
    small = open_spool(65536)
    fill(small, 3000)
    change(directory, "UPDATE spooled SET digest = x'00' WHERE id = 1")

    count = small.depth().count
    assert len(drain(small)) == count - 1


def garbage_over_the_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"garbage" * 20)


def garbage_over_the_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(path.stat().st_size - 100))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 123)


DAMAGES = (garbage_over_the_header, garbage_over_the_pages, truncated)


def damage_file(directory: Path, damage: Callable[[Path], None]) -> None:
    # What is still in the log would mend the file again.
    with closing(sqlite3.connect(directory / "spool.sqlite3")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(directory / "spool.sqlite3")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside_and_new_events_are_taken(
    directory: Path, open_spool: Callable[..., Spool], damage: Callable[[Path], None]
) -> None:
    before = open_spool()
    before.put([Spooled(b"x" * 3000, NOW)] * 20)
    before.close()
    damage_file(directory, damage)
    spool = open_spool()

    spool.put(bodies("new"))
    drain_what_can_be_read(spool)
    spool.put(bodies("newer"))

    assert "newer" in waiting(spool)
    assert spool.depth().damaged == 1
    assert len(list(directory.glob("spool.damaged-*.sqlite3"))) == 1


def drain_what_can_be_read(spool: Spool) -> None:
    """Read on until the damage is met, if it was not before."""
    while True:
        try:
            drain(spool)
        except SpoolUnavailableError:
            continue
        return


def test_a_process_with_the_old_file_open_puts_into_the_new_one(
    directory: Path, open_spool: Callable[..., Spool]
) -> None:
    one, other, third = open_spool(), open_spool(), open_spool()
    for spool in (one, other, third):
        spool.put(bodies("old"))
    damage_file(directory, garbage_over_the_header)
    open_spool().put(bodies("a"))  # who opens it now finds the damage

    one.put(bodies("b"))
    other.check()
    other.put(bodies("c"))
    assert waiting(third) == ["a", "b", "c"]
    assert len(list(directory.glob("spool.damaged-*.sqlite3"))) == 1


def test_who_is_late_to_find_the_damage_does_not_set_the_new_file_aside(
    directory: Path, open_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, late = open_spool(), open_spool()
    late.put(bodies("old"))
    late.close()
    garbage_over_the_header(directory / "spool.sqlite3")
    real = late._file._open  # noqa: SLF001  the race is between two of its steps

    def open_while_another_sets_it_aside() -> None:
        monkeypatch.undo()
        try:
            real()
        finally:
            directory.joinpath("open.lock").unlink()  # as if the other had come just before us
            one.put(bodies("a"))

    monkeypatch.setattr(SpoolFile, "_open", lambda _file: open_while_another_sets_it_aside())
    late.put(bodies("b"))

    assert waiting(one) == ["a", "b"]
    assert len(list(directory.glob("spool.damaged-*.sqlite3"))) == 1


def test_trouble_that_is_no_damage_sets_nothing_aside(spool: Spool, directory: Path) -> None:
    spool.put(bodies("a"))
    change(directory, "CREATE TRIGGER refuse BEFORE INSERT ON spooled BEGIN SELECT RAISE(ABORT, 'no'); END")

    with pytest.raises(SpoolUnavailableError):
        spool.put(bodies("b"))

    assert waiting(spool) == ["a"]
    assert spool.depth().damaged == 0


def test_a_full_spool_refuses_and_takes_again_after_draining(open_spool: Callable[..., Spool]) -> None:
    small = open_spool(256 * 1024)
    taken = fill(small, 1000)
    assert 100 < taken < 256
    with pytest.raises(SpoolUnavailableError):
        small.put([Spooled(b"x" * 5000, NOW)])

    assert len(drain(small)) == taken
    small.check()
    small.put([Spooled(b"x" * 1000, NOW)] * 100)


def test_a_batch_that_does_not_fit_is_not_put_in_part(open_spool: Callable[..., Spool]) -> None:
    small = open_spool(65536)
    with pytest.raises(SpoolUnavailableError):
        small.put([Spooled(b"x" * 1000, NOW)] * 200)

    assert small.depth().count == 0


def test_another_process_in_the_middle_of_a_write_is_not_waited_for_beyond_the_budget(
    spool: Spool, directory: Path
) -> None:
    spool.put(bodies("a"))
    with closing(sqlite3.connect(directory / "spool.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = datetime.now(UTC)
        with pytest.raises(SpoolUnavailableError):
            spool.put(bodies("b"))
        assert datetime.now(UTC) - began < timedelta(seconds=0.7)
        other.execute("ROLLBACK")

    spool.put(bodies("c"))
    assert waiting(spool) == ["a", "c"]


@contextmanager
def disk(directory: Path, kilobytes: int, options: str = "") -> Iterator[Path]:
    """A disk of its own, where root may mount one."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not (mount and umount) or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    directory.mkdir(exist_ok=True)
    argv = [mount, "-t", "tmpfs", "-o", f"size={kilobytes}k{options}", "spool-test", str(directory)]
    if subprocess.run(argv, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield directory
    finally:
        subprocess.run([umount, "--lazy", str(directory)], check=True)  # noqa: S603


def fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("size", [700, 20_000])
def test_a_full_disk_refuses_and_drains_and_takes_again(
    tmp_path: Path, open_spool: Callable[..., Spool], size: int
) -> None:
    with disk(tmp_path / "disk", 8192) as small:
        spool = open_spool(where=small / "spool")
        taken = fill(spool, size, at_once=10)
        assert taken * size > 4 * 1024 * 1024
        with pytest.raises(SpoolUnavailableError):
            spool.check()

        assert len(drain(spool)) == taken

        spool.check()
        for _ in range(10):
            spool.put([Spooled(b"x" * size, NOW)] * 10)
        assert spool.depth().count == 100
        spool.close()


def test_a_disk_that_others_filled_is_used_again_when_it_has_room(
    tmp_path: Path, open_spool: Callable[..., Spool]
) -> None:
    with disk(tmp_path / "disk", 4096) as small:
        spool = open_spool(where=small / "spool")
        spool.put(bodies("a"))
        ballast = small / "ballast"
        fill_up(ballast)
        with pytest.raises(SpoolUnavailableError):
            spool.put([Spooled(b"x" * 100_000, NOW)])
        with pytest.raises(SpoolUnavailableError):
            spool.check()

        ballast.unlink()
        spool.put(bodies("b"))
        assert drain(spool) == ["a", "b"]
        spool.close()
    assert RESERVE < 4096 * 1024


def test_a_disk_that_became_read_only_refuses(tmp_path: Path, open_spool: Callable[..., Spool]) -> None:
    with disk(tmp_path / "disk", 4096, ",ro") as small:
        spool = open_spool(where=small / "spool")
        for use in (spool.check, spool.depth, lambda: spool.put(bodies("a")), spool.only_drainer().__enter__):
            with pytest.raises(SpoolUnavailableError):
                use()


def test_a_spool_directory_that_is_a_file_refuses_until_it_is_a_directory(
    directory: Path, open_spool: Callable[..., Spool]
) -> None:
    directory.write_text("in the way")
    spool = open_spool()
    with pytest.raises(SpoolUnavailableError):
        spool.put(bodies("a"))
    with pytest.raises(SpoolUnavailableError), spool.only_drainer():
        pass

    directory.unlink()
    spool.put(bodies("a"))
    assert waiting(spool) == ["a"]


def test_a_spool_that_was_deleted_is_begun_anew(spool: Spool, directory: Path) -> None:
    spool.put(bodies("a"))
    shutil.rmtree(directory)

    spool.put(bodies("b"))
    assert waiting(spool) == ["b"]


def test_threads_of_one_process_share_it(spool: Spool) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: spool.put(bodies(str(number))), range(200)))

    assert sorted(waiting(spool), key=int) == [str(number) for number in range(200)]
    assert spool.depth().count == 200


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory in which anyone may make something, like the one for temporary files."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


def assert_refused(spool: Spool) -> None:
    for use in (spool.check, spool.depth, lambda: spool.put(bodies("a")), spool.only_drainer().__enter__):
        with pytest.raises(SpoolUnavailableError):
            use()


@pytest.mark.parametrize("first", ["a putter", "a drainer"])
def test_a_spool_is_made_for_nobody_elses_eyes(spool: Spool, directory: Path, first: str) -> None:
    if first == "a putter":
        spool.put(bodies("a"))
    else:
        with spool.only_drainer() as mine:
            assert mine
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_directory_that_anyone_may_write_to_is_refused(spool: Spool, directory: Path, mode: int) -> None:
    directory.mkdir()
    directory.chmod(mode)
    assert_refused(spool)
    assert list(directory.iterdir()) == []

    directory.chmod(0o700)
    spool.put(bodies("a"))
    assert waiting(spool) == ["a"]


def test_a_directory_that_an_operator_shares_with_a_group_is_good(spool: Spool, directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o2775)  # as Kubernetes makes a volume with an fsGroup
    spool.put(bodies("a"))
    assert waiting(spool) == ["a"]


def test_among_temporary_files_a_group_may_not_write_either(shared: Path, open_spool: Callable[..., Spool]) -> None:
    (shared / "spool").mkdir()
    (shared / "spool").chmod(0o770)
    assert_refused(open_spool(where=shared / "spool"))


def test_among_temporary_files_what_another_user_made_is_refused(
    shared: Path, open_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared / "spool").mkdir(mode=0o700)
    spool = open_spool(where=shared / "spool")
    with monkeypatch.context() as patch:
        stranger = os.geteuid() + 1
        patch.setattr(os, "geteuid", lambda: stranger)
        assert_refused(spool)
    spool.check()


def test_among_temporary_files_a_link_is_refused(
    shared: Path, tmp_path: Path, open_spool: Callable[..., Spool]
) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (shared / "spool").symlink_to(tmp_path / "elsewhere")
    assert_refused(open_spool(where=shared / "spool"))


def test_the_reserve_is_kept_where_the_system_has_no_call_for_it(
    spool: Spool, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # as on macOS
    spool.put(bodies("a"))
    assert (directory / "reserve").stat().st_size == RESERVE
