"""Recover the records of a damaged file that was set aside: none may be lost because others are.

Records are found by how they begin, wherever in a page that is, and judged by their digest: nothing that SQLite needs
to find its way, such as the file's header or a page's directory, has to be whole. A whole one is put into the new file,
and then overwritten in the old one. A kill in between, or an old version of a page, has one come twice: a duplicate,
which changes nothing. A broken one is put where such are kept, and all that is left is kept for a person to look at.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from service.errors import SpoolUnavailableError
from service.spool import records
from service.spool.file import ASIDE, PAGE
from service.spool.pages import Pages
from service.spool.records import Spooled
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from service.spool.pages import Place

REST = ".rest"
"""The suffix of a file from which everything recoverable was taken."""
AT_ONCE, BYTES_AT_ONCE = 200, 4_000_000
"""Records, and bytes of their bodies, that are stored together."""
LARGEST = 2**27
"""The largest plausible record in bytes, above any accepted body: a broken header may claim any size."""

# A record: its header, which is the header's own length and the type of each column; then the columns, which are an id
# (null, for the row has it), the time of receipt in 25 or 32 characters, a request id, the body and 32 bytes of digest.
_BEGINNING = re.compile(rb"[\x06-\x12]\x00[\x3f\x4d]", re.DOTALL)
_NULL, _BLOB, _TEXT, _DIGEST = 0, 12, 13, 12 + 2 * 32
# How much of a record fits into a page, for SQLite's formula.
_MOST_IN_PAGE, _LEAST_IN_PAGE, _IN_OVERFLOW = PAGE - 35, (PAGE - 12) * 32 // 255 - 23, PAGE - 4

TakeIn = Callable[[Sequence[Spooled], Sequence[tuple[object, ...]]], None]

logger = log.get_logger(__name__)


class Salvaged(NamedTuple):
    """A record that was found.

    Args:
        mark: Identifies where it begins, so that it is recognised again.
        body: None where it does not fit its digest.
        columns: Time of receipt and body, as they were found.
        pieces: Where a whole one stands: place, first byte and bytes.
    """

    mark: bytes
    body: Spooled | None
    columns: tuple[str, bytes]
    pieces: Sequence[tuple[Place, int, int]]


def left_aside(directory: Path) -> set[str]:
    """List the damaged files, whether or not they have been salvaged."""
    return {path.name.removeprefix(ASIDE).partition(".")[0] for path in directory.glob(f"{ASIDE}*")}


def salvage(directory: Path, take_in: TakeIn) -> None:
    """Recover what can be read from every file that was set aside since the last time.

    Args:
        directory: The spool's.
        take_in: Puts bodies on disk, and rows of what is broken.

    Raises:
        OSError: The disk does not answer.
        SpoolUnavailableError: There is no room for what was found; the next call continues from there.
    """
    for name in sorted({path.name.partition(".sqlite3")[0] for path in directory.glob(f"{ASIDE}*.sqlite3*")}):
        path, journal = directory / f"{name}.sqlite3", directory / f"{name}.sqlite3-wal"
        counts = Counter[str]()
        with Pages(path, journal) as pages:
            for batch in _batches(_found(pages)):
                try:
                    _keep(batch, take_in)
                except SpoolUnavailableError:
                    for one in batch:
                        _keep([one], take_in)  # as many as there is room for
                counts.update("whole" if one.body else "broken" for one in batch)
            pages.flush()
        for moved, ending in ((journal, f"{REST}-wal"), (path, REST)):
            with suppress(FileNotFoundError):
                moved.rename(directory / f"{name}{ending}")
        (directory / f"{name}.sqlite3-shm").unlink(missing_ok=True)
        logger.error("a damaged spool file was gone through", counts=dict(counts))


def _keep(batch: Sequence[Salvaged], take_in: TakeIn) -> None:
    now = datetime.now(UTC).isoformat()
    take_in(
        [one.body for one in batch if one.body],
        [(_row_id(one.mark), *one.columns, now) for one in batch if not one.body],
    )
    for place, start, size in (piece for one in batch if one.body for piece in one.pieces):
        place.overwrite(start, size)


def _batches(found: Iterable[Salvaged]) -> Iterator[list[Salvaged]]:
    batch: list[Salvaged] = []
    size = 0
    for one in found:
        batch.append(one)
        size += len(one.columns[1])
        if len(batch) >= AT_ONCE or size >= BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _found(pages: Pages) -> Iterator[Salvaged]:
    """Find every record once; of records that only an old version of a page has, only the intact ones."""
    seen: set[bytes] = set()
    for places, current in ((pages.current(), True), (pages.superseded(), False)):
        for place in places:
            data = place.bytes()
            at = 0
            while beginning := _BEGINNING.search(data, at):
                at = beginning.start()
                sizes = _sizes(data[at : at + PAGE])
                in_page = _in_page(sum(sizes)) if sizes else PAGE
                if not sizes or at + in_page > PAGE:
                    at += 1
                    continue
                mark = hashlib.blake2b(data[at : at + in_page], digest_size=8).digest()
                if mark in seen:
                    place.overwrite(at, in_page)
                else:
                    one = _read(pages, place, at, sizes, mark)
                    if one.body or current:
                        seen.add(mark)
                        yield one
                at += in_page


def _sizes(data: bytes) -> list[int]:
    """Read the header of a record: its size and each column's; nothing if it is not one of ours."""
    end = data[0]
    if end > len(data):
        return []
    types, at = [], 1
    while at < end:
        value = 0
        while at < end:  # seven bits of each byte, and the eighth while more follow
            byte = data[at]
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:  # noqa: PLR2004
                break
        types.append(value)
    if len(types) != 5:  # noqa: PLR2004
        return []
    _, received_at, request_id, raw, digest = types
    is_ours = (
        received_at >= _TEXT
        and (request_id == _NULL or (request_id >= _TEXT and request_id % 2))
        and raw >= _BLOB
        and not raw % 2
        and digest == _DIGEST
        and raw < LARGEST
    )
    return [end, *((one - _BLOB) // 2 if one else 0 for one in types[1:])] if is_ours else []


def _in_page(size: int) -> int:
    """Return how many bytes of a record are in its page."""
    if size <= _MOST_IN_PAGE:
        return size
    least = _LEAST_IN_PAGE + (size - _LEAST_IN_PAGE) % _IN_OVERFLOW
    return least if least <= _MOST_IN_PAGE else _LEAST_IN_PAGE


def _row_id(mark: bytes) -> int:
    """Choose a row id that is the same if the record is found again, and that SQLite would not choose."""
    return -(int.from_bytes(mark) >> 1) - 1


def _read(pages: Pages, place: Place, at: int, sizes: Sequence[int], mark: bytes) -> Salvaged:
    """Read a record, which goes on in overflow pages if it is long; of these, there may be several versions."""
    size, in_page = sum(sizes), _in_page(sum(sizes))
    data = place.bytes()
    tries = []
    for version in (0, -1):
        payload, pieces = data[at : at + in_page], [(place, at, in_page)]
        following = data[at + in_page : at + in_page + 4]
        while len(payload) < size and (versions := pages.versions(int.from_bytes(following))):
            following, more = (page := versions[version].bytes())[:4], page[4 : 4 + size - len(payload)]
            payload += more
            pieces += [(one, 0, PAGE) for one in versions if one.bytes() == page]
        tries.append(_judged(payload, sizes, pieces, mark))
        if tries[-1].body:
            return tries[-1]
    return tries[0]


def _judged(payload: bytes, sizes: Sequence[int], pieces: Sequence[tuple[Place, int, int]], mark: bytes) -> Salvaged:
    columns, at = [], 0
    for size in sizes:
        columns.append(payload[at : at + size])
        at += size
    _, received_at, request_id, raw, digest = columns
    time = received_at.decode(errors="replace")
    body = records.read(0, time, request_id.decode(errors="replace") if request_id else None, raw, digest)
    return Salvaged(mark, body, (time, raw), pieces)
