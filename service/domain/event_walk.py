"""The walk over Cobalt's list of events, newest first, that loses nothing when the list shifts under it.

New events come in at the front while the walk is under way: what was on one page is on the next one then, and is seen
twice. Events that Cobalt removes shift the list the other way; the total that comes with each page tells that, and the
walk steps back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

T = TypeVar("T")

PAGE_SIZE = 100
"""Events on a page; Cobalt allows no more [P]."""
MOST_PAGES = 10_000
"""A list that has more is none that a person's account made: the walk ends."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of Cobalt's list, ``GET /webhook-events`` [P].

    Args:
        rows: Of the list, in its order.
        pages: How many pages there are; None where Cobalt does not say.
        total: How many events there are; None where Cobalt does not say.
    """

    rows: Sequence[T]
    pages: int | None = None
    total: int | None = None


def walk(
    fetch: Callable[[int], Page[T]], *, time_of: Callable[[T], datetime | None], since: datetime
) -> Iterator[Sequence[T]]:
    """Walk from the newest event to the first that is older than ``since``.

    Where the list is not in order, newest first, there is no such end: then it goes on to the last page.

    Args:
        fetch: Gets a page by its number, from 1.
        time_of: Says when a row's event happened; None where the row does not say.
        since: Where to end.

    Yields:
        The rows of each page. A row may come more than once.
    """
    number, total, last = 1, None, None
    in_order = True
    for _ in range(MOST_PAGES):
        page = fetch(number)
        yield page.rows
        times = [time for row in page.rows if (time := time_of(row))]
        seen = ([last] if last else []) + times
        in_order = in_order and all(one >= other for one, other in pairwise(seen))
        removed = total - page.total if total is not None and page.total is not None else 0
        if removed > 0:
            number, total, last, in_order = max(1, number - math.ceil(removed / PAGE_SIZE)), page.total, None, True
            continue
        if _is_last(page, number) or (in_order and times and times[-1] < since):
            return
        number, total, last = number + 1, page.total, times[-1] if times else last


def _is_last(page: Page[Any], number: int) -> bool:
    if page.pages is not None:
        return number >= page.pages
    return len(page.rows) < PAGE_SIZE
