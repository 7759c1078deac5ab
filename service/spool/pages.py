"""The pages of an SQLite file and of its log, read without SQLite, which refuses a damaged file as a whole.

What is used here of the format (https://www.sqlite.org/fileformat2.html): the file is pages, numbered from 1. The log
is a header and frames, each a page with its number and with the salt of its generation. A record that does not fit into
its page goes on in overflow pages, each with the number of the next in its first four bytes.
"""

from __future__ import annotations

import mmap
import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, Self

from service.spool.file import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER, FRAME_HEADER = 32, 24
"""Bytes of the log's."""
FRAME = FRAME_HEADER + PAGE
SALT = slice(8, 16)
"""Of a frame's header; in the log's it is eight bytes further on."""


class Place(NamedTuple):
    """Where a version of a page is: in the file, or in the log."""

    held_in: mmap.mmap
    start: int

    def bytes(self) -> bytes:
        """Read it."""
        return self.held_in[self.start : self.start + PAGE]

    def overwrite(self, start: int, size: int) -> None:
        """Overwrite a part of it with zeros."""
        self.held_in[self.start + start : self.start + start + size] = bytes(size)


class Pages:
    """Every version of every page of a file and its log.

    Args:
        path: The file; the log is beside it. Either may be missing, and both may be damaged.
    """

    def __init__(self, path: Path, log: Path) -> None:
        self._stack = ExitStack()
        self._file = self._mapped(path)
        self._log = self._mapped(log)
        self._logged: dict[int, list[Place]] = {}
        """By number of the page; the version that counts is the last."""
        for number, place in self._frames():
            self._logged.setdefault(number, []).append(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def current(self) -> Iterator[Place]:
        """Find the version of each page that counts."""
        for number in range(1, self._filed() + 1):
            if number not in self._logged:
                yield self._in_file(number)
        for places in self._logged.values():
            yield places[-1]

    def superseded(self) -> Iterator[Place]:
        """Find all other versions; what is whole in one of them may not be in the one that counts."""
        for number, places in self._logged.items():
            yield from places[:-1]
            if 1 <= number <= self._filed():
                yield self._in_file(number)

    def versions(self, number: int) -> list[Place]:
        """Find the versions of a page, the one that counts first."""
        filed = [self._in_file(number)] if 1 <= number <= self._filed() else []
        return [*reversed(self._logged.get(number, ())), *filed]

    def flush(self) -> None:
        """Have what was overwritten be on the disk."""
        for held in (self._file, self._log):
            if held is not None:
                held.flush()

    def _filed(self) -> int:
        return len(self._file) // PAGE if self._file is not None else 0

    def _in_file(self, number: int) -> Place:
        assert self._file is not None  # noqa: S101  there is such a page
        return Place(self._file, (number - 1) * PAGE)

    def _frames(self) -> Iterator[tuple[int, Place]]:
        """Read the log: frames of the latest generation come last. Their checksums are not asked: records have one."""
        if self._log is None:
            return
        starts = range(HEADER, len(self._log) - FRAME + 1, FRAME)
        salts = {self._log[16:24], self._log[HEADER:][SALT]}  # either may be damaged
        for latest in (False, True):
            for start in starts:
                head = self._log[start : start + FRAME_HEADER]
                if (head[SALT] in salts) is latest:
                    yield struct.unpack(">I", head[:4])[0], Place(self._log, start + FRAME_HEADER)

    def _mapped(self, path: Path) -> mmap.mmap | None:
        try:
            file = self._stack.enter_context(path.open("r+b"))
            return self._stack.enter_context(mmap.mmap(file.fileno(), 0))
        except (FileNotFoundError, ValueError):  # there is none, or nothing in it
            return None
