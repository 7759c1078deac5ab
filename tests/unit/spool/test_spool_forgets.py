"""What was drained is nowhere on the disk any more: not in the file, not in its log, nor in anything beside them."""

from __future__ import annotations

import random
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from service.spool import Spool, Spooled
from tests.unit.spool.test_spool import NOW, directory, disk, fill_up, kill, open_spool, process, read_line, spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["directory", "open_spool", "spool"]

SIZES = (12, 60, 700, 3000, 4500, 20_000, 300_000)


def body(number: int, size: int) -> Spooled:
    """A body of which every twelve bytes say whose they are."""
    return Spooled((b"<BODY%06d>" % number) * (size // 12), NOW, f"req_{number}")


def on_disk(directory: Path) -> set[int]:
    """The numbers of all bodies of which there is a piece in any file of the spool."""
    found = re.findall(rb"BODY(\d{6})>", b"\0".join(path.read_bytes() for path in directory.iterdir()))
    return {int(number) for number in found}


def numbers(bodies: list[Spooled]) -> list[int]:
    return [int(one.raw[5:11]) for one in bodies]


def test_after_draining_no_file_of_the_spool_holds_a_byte_of_it(spool: Spool, directory: Path) -> None:
    for number, size in enumerate(SIZES * 20):
        spool.put([body(number, size)])
    assert on_disk(directory) == set(range(len(SIZES) * 20))

    while waiting := spool.oldest(7):
        spool.remove(waiting)
    spool.forget()

    assert on_disk(directory) == set()
    for path in directory.iterdir():
        assert b"req_" not in path.read_bytes(), path.name


@pytest.mark.parametrize("seed", range(5))
def test_what_is_held_up_is_all_that_is_left(spool: Spool, directory: Path, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 (not a secret)
    number = 0
    for _ in range(6):
        for _ in range(30):
            together = draw.randrange(1, 12)
            spool.put([body(number + one, draw.choice(SIZES[:-1])) for one in range(together)])
            number += together
        waiting = spool.oldest(10_000)
        kept = draw.sample(waiting, min(10, len(waiting)))
        spool.remove([one for one in waiting if one not in kept])
        spool.forget()
        left = spool.oldest(10_000)
        assert on_disk(directory) == set(numbers(left))


def test_another_process_that_has_the_file_open_does_not_keep_it(
    spool: Spool, directory: Path, open_spool: Callable[..., Spool]
) -> None:
    other = open_spool()
    spool.put([body(1, 700)])
    assert numbers(other.oldest(1)) == [1]
    spool.remove(spool.oldest(1))
    other.check()
    spool.forget()
    assert on_disk(directory) == set()


def test_who_drains_next_forgets_what_a_killed_drainer_removed(spool: Spool, directory: Path) -> None:
    spool.put([body(number, 3000) for number in range(30)])
    directory.joinpath("copy").mkdir()
    spool.remove(spool.oldest(1000))
    assert on_disk_of_log(directory)  # as a kill at this instant would leave it

    again = Spool(directory, max_bytes=2**26)
    assert again.oldest(1) == []
    again.forget()
    directory.joinpath("copy").rmdir()
    assert on_disk(directory) == set()
    again.close()


def on_disk_of_log(directory: Path) -> set[bytes]:
    return set(re.findall(rb"BODY\d{6}", (directory / "spool.sqlite3-wal").read_bytes()))


def test_killed_drainers_leave_nothing_either(spool: Spool, directory: Path) -> None:
    draw = random.Random(5)  # noqa: S311 (not a secret)
    directory.mkdir()
    for life in range(6):
        with (
            process("put", directory, f"long{life}") as putter,
            process("forget", directory) as one,
            process("forget", directory) as other,
        ):
            for _ in range(draw.randrange(5, 60)):
                read_line(putter)
            for victim in draw.sample([putter, one, other], 3):
                kill(victim)
    while waiting := spool.oldest(100):
        spool.remove(waiting)
    spool.forget()

    seen = b"\0".join(path.read_bytes() for path in directory.iterdir())
    assert re.findall(rb"long\d-\d+", seen) == []


def test_what_an_earlier_version_left_in_the_file_is_forgotten_too(spool: Spool, directory: Path) -> None:
    spool.put([body(number, 3000) for number in range(30)])
    spool.close()
    with closing(sqlite3.connect(directory / "spool.sqlite3")) as old, old:
        old.execute("PRAGMA secure_delete = OFF")
        old.execute("PRAGMA user_version = 0")
        old.execute("DELETE FROM spooled WHERE id <= 29")
    assert len(on_disk(directory)) > 10

    assert numbers(spool.oldest(100)) == [29]
    spool.forget()
    assert on_disk(directory) == {29}
    assert numbers(spool.oldest(100)) == [29]


def test_a_body_larger_than_the_reserve_is_removed_from_a_full_disk_and_forgotten_when_there_is_room(
    tmp_path: Path, open_spool: Callable[..., Spool]
) -> None:
    with disk(tmp_path / "disk", 16384) as small:
        spool = open_spool(where=small / "spool")
        spool.put([body(1, 3_000_000)])
        spool.put([body(2, 700)])
        fill_up(small / "ballast")

        spool.remove(spool.oldest(2))
        spool.remove(spool.oldest(2))
        assert spool.depth().count == 0
        spool.forget()

        (small / "ballast").unlink()
        spool.forget()
        assert on_disk(small / "spool") == set()
        spool.put([body(3, 700)])
        assert numbers(spool.oldest(2)) == [3]
        spool.close()
