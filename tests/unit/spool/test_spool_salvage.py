"""A damaged file is set aside, and every record in it that is whole waits again."""

from __future__ import annotations

import itertools
import random
import re
import shutil
import sqlite3
import struct
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from service.errors import SpoolUnavailableError
from service.spool import Spool, Spooled, salvage
from service.spool.pages import FRAME, HEADER
from tests.unit.spool.test_spool import NOW, directory, open_spool
from tests.unit.spool.test_spool_forgets import body, numbers, on_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["directory", "open_spool"]

PAGE = 4096
SIZES = (60, 700, 700, 3000, 700, 5000, 60, 20_000)
COUNT = 160


def made(directory: Path, *, in_log: bool = False, sizes: Sequence[int] = SIZES) -> list[Spooled]:
    """Make a spool with bodies of all sizes, in its file, or in part still in its log, as a kill would leave it."""
    spool = Spool(directory, max_bytes=2**27)
    bodies = [body(number, size) for number, size in zip(range(COUNT), itertools.cycle(sizes), strict=False)]
    for first in range(0, COUNT, 5):
        spool.put(bodies[first : first + 5])
    if in_log:
        killed = directory.with_name("killed")
        shutil.copytree(directory, killed)
        spool.close()
        shutil.rmtree(directory)
        killed.rename(directory)
        assert (directory / "spool.sqlite3-wal").stat().st_size > 10 * PAGE
        return bodies
    spool.close()
    with closing(sqlite3.connect(directory / "spool.sqlite3")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return bodies


def set_aside(spool: Spool) -> list[Spooled]:
    """Read on until the damage is met; returns what could be read before that."""
    spool.put([Spooled(b"new", NOW)])
    read: list[Spooled] = []
    with suppress(SpoolUnavailableError):
        after = 0
        while found := spool.oldest(20, after=after):
            read += found
            after = found[-1].id
    return read


def drained(spool: Spool) -> list[Spooled]:
    found = []
    while waiting := spool.oldest(50):
        found += waiting
        spool.remove(waiting)
    spool.forget()
    return found


def touched(path: Path, damaged: set[int]) -> set[int]:
    """The bodies of which there is a piece in these pages."""
    data = path.read_bytes()
    pieces = (data[(page - 1) * PAGE : page * PAGE] for page in damaged)
    return {
        int(number)
        for piece in pieces
        for number in re.findall(rb"BODY(\d{6})|req_(\d+)", piece)
        for number in number
        if number
    }


def write(path: Path, start: int, raw: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(raw)


DAMAGES = {
    "the first bytes": (0, 20),
    "the size of pages": (16, 2),
    "the whole header": (0, 100),
    "the schema": (100, 3000),
    "the whole first page": (0, PAGE),
    "the root of the table": (PAGE, 100),
    "a page's directory": (9 * PAGE, 40),
    "the middle of a page": (20 * PAGE + 1500, 500),
    "a page of a long body": (40 * PAGE, 4),
    "several pages": (30 * PAGE + 100, 3 * PAGE),
    "a single bit of a directory": (12 * PAGE + 9, 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_record_that_is_whole_waits_again(directory: Path, open_spool: Callable[..., Spool], damage: str) -> None:
    bodies = made(directory)
    path = directory / "spool.sqlite3"
    start, size = DAMAGES[damage]
    pages = set(range(start // PAGE + 1, (start + size - 1) // PAGE + 2))
    lost = touched(path, pages)
    write(path, start, random.Random(7).randbytes(size))  # noqa: S311 (not a secret)

    spool = open_spool()
    read = set_aside(spool)
    spool.salvage()
    found = {one.raw: one for one in drained(spool)}

    known = {one.raw: one for one in bodies}
    whole = {one.raw for number, one in enumerate(bodies) if number not in lost}
    assert whole <= found.keys()
    assert found.keys() <= known.keys() | {b"new"}
    for raw, one in found.items():
        if raw != b"new":
            assert (one.received_at, one.request_id) == (known[raw].received_at, known[raw].request_id)
    assert len(whole) > COUNT - 30
    if list(directory.glob("spool.damaged-*")):
        assert spool.depth().damaged >= 1
    else:
        assert len(read) >= COUNT  # it did no harm that SQLite could see
    assert on_disk(directory) <= {number for number, one in enumerate(bodies) if one.raw not in found}


def test_what_is_only_in_the_log_is_salvaged_too(directory: Path, open_spool: Callable[..., Spool]) -> None:
    bodies = made(directory, in_log=True)
    write(directory / "spool.sqlite3", 0, b"garbage" * 20)
    write(directory / "spool.sqlite3-wal", 0, b"garbage" * 4)

    spool = open_spool()
    set_aside(spool)
    spool.salvage()

    assert {one.raw for one in drained(spool)} == {one.raw for one in bodies} | {b"new"}
    assert on_disk(directory) == set()


def test_a_damaged_frame_of_the_log_costs_its_own_records_alone(
    directory: Path, open_spool: Callable[..., Spool]
) -> None:
    bodies = made(directory, in_log=True)
    log = directory / "spool.sqlite3-wal"
    write(directory / "spool.sqlite3", 0, b"garbage" * 20)
    frames = (log.stat().st_size - HEADER) // FRAME
    middle = HEADER + frames // 2 * FRAME
    write(log, 0, b"garbage" * 4)
    write(log, middle, struct.pack(">I", 2**31))
    write(log, middle + 2000, random.Random(7).randbytes(900))  # noqa: S311 (not a secret)

    spool = open_spool()
    set_aside(spool)
    spool.salvage()

    found = {one.raw for one in drained(spool)}
    assert found <= {one.raw for one in bodies} | {b"new"}
    assert len(found) > COUNT - 12


def test_a_broken_record_is_kept_where_such_are_kept_and_counted(
    directory: Path, open_spool: Callable[..., Spool]
) -> None:
    made(directory, sizes=(700,))
    path = directory / "spool.sqlite3"
    data = path.read_bytes()
    write(path, data.index(b"<BODY000007>") + 30, b"\xff")
    write(path, 0, b"garbage" * 14)

    spool = open_spool()
    set_aside(spool)
    spool.salvage()
    spool.salvage()

    assert spool.depth().damaged == 2  # the record, and what is left of the file
    assert sorted(numbers([one for one in drained(spool) if one.raw != b"new"])) == [
        number for number in range(COUNT) if number != 7
    ]
    assert on_disk(directory) == {7}


def test_a_kill_after_a_part_was_salvaged_loses_nothing(
    directory: Path, open_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = made(directory)
    write(directory / "spool.sqlite3", 0, b"garbage" * 20)
    spool = open_spool()
    set_aside(spool)
    monkeypatch.setattr(salvage, "AT_ONCE", 7)
    real, times = Spool._take_in, itertools.count()  # noqa: SLF001 (a kill comes between its steps)

    def take_in(self: Spool, *rows: object) -> None:
        real(self, *rows)  # type: ignore[arg-type]
        if next(times) in {3, 9}:
            raise KeyboardInterrupt

    monkeypatch.setattr(Spool, "_take_in", take_in)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            spool.salvage()
    spool.salvage()

    found = [one.raw for one in drained(spool)]
    assert set(found) == {one.raw for one in bodies} | {b"new"}
    assert len(found) - len(set(found)) <= 2 * 7  # again: duplicates, which change nothing
    assert on_disk(directory) == set()


def test_a_spool_that_is_full_takes_the_rest_after_it_was_drained(
    directory: Path, open_spool: Callable[..., Spool]
) -> None:
    bodies = made(directory)
    write(directory / "spool.sqlite3", 0, b"garbage" * 20)
    small = open_spool(max_bytes=256 * 1024)
    set_aside(small)
    found: set[bytes] = set()
    for _ in range(50):
        try:
            small.salvage()
        except SpoolUnavailableError:
            found |= {one.raw for one in drained(small)}
        else:
            break
    found |= {one.raw for one in drained(small)}
    assert found == {one.raw for one in bodies} | {b"new"}


GARBAGE = random.Random(3).randbytes(300_000)  # noqa: S311 (not a secret)


@pytest.mark.parametrize("raw", [b"", b"x", b"\0" * 100_000, GARBAGE], ids=["empty", "a byte", "zeros", "garbage"])
def test_a_file_in_which_nothing_is_to_be_found_is_kept_and_counted(
    directory: Path, open_spool: Callable[..., Spool], raw: bytes
) -> None:
    spool = open_spool()
    spool.put([Spooled(b"new", NOW)])
    (directory / "spool.damaged-20250101T120000000000.sqlite3").write_bytes(raw)
    (directory / "spool.damaged-20250102T120000000000.sqlite3-wal").write_bytes(raw)

    spool.salvage()

    assert [one.raw for one in spool.oldest(10)] == [b"new"]
    assert spool.depth().damaged == 2
    assert sorted(path.suffix for path in directory.glob("spool.damaged-*")) == [".rest", ".rest-wal"]
