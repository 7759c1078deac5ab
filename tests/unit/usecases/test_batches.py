"""What waits is written together, and no item suffers for its neighbour."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from service.errors import BatchesFullError, DatabaseUnavailableError, TooSlowError
from service.usecases.events import batches as group_commit
from service.usecases.events.batches import Batches, in_a_thread
from tests.records import until
from tests.web_client import start, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Writer:
    """Writes numbers doubled, when its gate is open; refuses what is on its list."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun: list[list[int]] = []
        self.written: list[int] = []
        self.broken: set[int] = set()
        self.away = False

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.begun.append(list(items))
        assert self.gate.wait(10)
        if self.away:
            raise DatabaseUnavailableError("away")
        if self.broken & set(items):
            raise ValueError("broken")
        self.written += items
        return [2 * item for item in items]


@pytest.fixture
def writer() -> Iterator[Writer]:
    writer = Writer()
    yield writer
    writer.gate.set()


def batches_of(writer: Writer, most: int = 100, queue_length: int = 100) -> Batches[int, int]:
    return Batches(in_a_thread(writer, name="test"), most=most, queue_length=queue_length, name="test")


def test_a_lone_item_does_not_wait_for_company(writer: Writer) -> None:
    batches = batches_of(writer)
    wait_for(batches.put(0, within=5))

    began = time.monotonic()
    assert wait_for(batches.put(21, within=5)) == 42

    assert time.monotonic() - began < 0.1
    assert writer.begun == [[0], [21]]


def test_what_comes_while_one_is_written_shares_the_next_batch(writer: Writer) -> None:
    batches = batches_of(writer, most=8)
    writer.gate.clear()
    first = start(batches.put(0, within=5))
    until(lambda: writer.begun == [[0]])
    others = [start(batches.put(number, within=5)) for number in range(1, 21)]
    until(lambda: len(batches._waiting) == 20)  # noqa: SLF001  nothing outside shows it
    writer.gate.set()

    assert first.result() == 0
    assert [other.result() for other in others] == [2 * number for number in range(1, 21)]
    assert [len(batch) for batch in writer.begun] == [1, 8, 8, 4]


def test_what_comes_right_after_a_batch_of_several_shares_the_next(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "GATHERING", 1.0)  # longer than any pause of a busy machine
    batches = batches_of(writer)

    async def send() -> None:
        await asyncio.gather(*(batches.put(number, within=5) for number in (1, 2)))
        third = asyncio.ensure_future(batches.put(3, within=5))
        await asyncio.sleep(0.01)
        await asyncio.gather(third, batches.put(4, within=5))

    wait_for(send())

    assert writer.begun == [[1, 2], [3, 4]]


def test_each_one_that_breaks_is_told_and_its_neighbours_are_written(writer: Writer) -> None:
    batches = batches_of(writer)
    writer.broken = {3, 11}
    writer.gate.clear()
    first = start(batches.put(0, within=5))
    until(lambda: writer.begun)
    others = [start(batches.put(number, within=5)) for number in range(1, 17)]
    until(lambda: len(batches._waiting) == 16)  # noqa: SLF001
    writer.gate.set()

    assert first.result() == 0
    for number, other in enumerate(others, start=1):
        if number in writer.broken:
            with pytest.raises(ValueError, match="broken"):
                other.result()
        else:
            assert other.result() == 2 * number
    assert sorted(writer.written) == [number for number in range(17) if number not in writer.broken]


def test_an_outage_is_told_to_all_at_once_without_splitting(writer: Writer) -> None:
    batches = batches_of(writer)
    writer.gate.clear()
    first = start(batches.put(0, within=5))
    until(lambda: writer.begun)
    others = [start(batches.put(number, within=5)) for number in range(1, 9)]
    until(lambda: len(batches._waiting) == 8)  # noqa: SLF001
    writer.away = True
    writer.gate.set()

    for one in (first, *others):
        with pytest.raises(DatabaseUnavailableError):
            one.result()
    assert [len(batch) for batch in writer.begun] == [1, 8]


def test_more_than_may_wait_are_refused_at_once(writer: Writer) -> None:
    batches = batches_of(writer, queue_length=3)
    writer.gate.clear()
    start(batches.put(0, within=5))
    until(lambda: writer.begun)
    waiting = [start(batches.put(number, within=5)) for number in (1, 2, 3)]
    until(lambda: len(batches._waiting) == 3)  # noqa: SLF001

    began = time.monotonic()
    with pytest.raises(BatchesFullError):
        wait_for(batches.put(4, within=5))
    assert time.monotonic() - began < 0.1

    writer.gate.set()
    assert [one.result() for one in waiting] == [2, 4, 6]


def test_who_waited_too_long_is_told_and_is_not_written_later(writer: Writer) -> None:
    batches = batches_of(writer)
    writer.gate.clear()
    first = start(batches.put(0, within=10))
    until(lambda: writer.begun)

    began = time.monotonic()
    with pytest.raises(TooSlowError):
        wait_for(batches.put(1, within=0.1))
    assert 0.1 <= time.monotonic() - began < 0.3

    writer.gate.set()
    assert first.result() == 0
    assert wait_for(batches.put(2, within=5)) == 4
    assert writer.written == [0, 2]


def test_it_goes_on_after_everyone_has_left(writer: Writer) -> None:
    batches = batches_of(writer)
    writer.gate.clear()
    for number in range(3):
        with pytest.raises(TooSlowError):
            wait_for(batches.put(number, within=0.05))
    writer.gate.set()

    assert wait_for(batches.put(9, within=5)) == 18
    assert writer.written == [0, 9]


def test_a_writer_that_answers_too_little_breaks_only_what_it_was_given() -> None:
    batches: Batches[int, int] = Batches(
        in_a_thread(lambda items: [*items][1:], name="test"), most=10, queue_length=10, name="test"
    )

    for number in range(2):
        with pytest.raises(ValueError, match="shorter"):
            wait_for(batches.put(number, within=1))
