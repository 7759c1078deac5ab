"""Group commit: what arrives while a write is under way shares the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import TYPE_CHECKING, Generic, TypeVar

from service.errors import AppointmentsError, BatchesFullError, TooSlowError
from service.telemetry import log, metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")

GATHERING = 0.002
"""Seconds in which company may gather after a batch of several: whoever sent them has just been answered, and sends the
next. On busy cores that makes batches half as large again, and their items cheaper."""

logger = log.get_logger(__name__)


class Batches(Generic[T, R]):
    """One writer per process, which takes all that waits and writes it together.

    A lone item does not wait for company: the writer takes what is there, at once. Others gather while it commits, and
    for a moment after a batch of several; so the busier it is the larger the batches, and the cheaper each item.

    All on the event loop; a ``write`` that would stop it runs in a thread, see ``in_a_thread``.

    Args:
        write: Writes a batch, whole or not at all, and answers for each item. One at a time.
        most: Items in one batch at most.
        queue_length: Items that may wait at most: beyond that, refusing is better than growing.
        name: The writer's, for logs.
    """

    def __init__(
        self, write: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int, queue_length: int, name: str
    ) -> None:
        self._write = write
        self._most = most
        self._queue_length = queue_length
        self._name = name
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def put(self, item: T, *, within: float) -> R:
        """Write one item, in whatever company there is.

        Args:
            item: What to write.
            within: Seconds. When they have passed the item may still be written: writing must be idempotent.

        Raises:
            BatchesFullError: Too many items wait already.
            TooSlowError: The time has passed.
        """
        if len(self._waiting) >= self._queue_length:
            raise BatchesFullError(f"too many wait for the {self._name}")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, answer))
        if self._writing is None or self._writing.done():
            # In no item's context, whose request's id would be in its log.
            self._writing = loop.create_task(self._write_all(), context=Context())
        # Cheaper than asyncio.timeout, on a path where that shows.
        timer = loop.call_later(max(0.0, within), self._give_up, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    def _give_up(self, answer: asyncio.Future[R]) -> None:
        if not answer.done():
            answer.set_exception(TooSlowError(f"the {self._name} did not write in time"))

    async def _write_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            metrics.batch_written(self._name, len(batch))
            await self._write_batch([one for one in batch if not one[1].done()])
            if 1 < len(batch) < self._most:
                await asyncio.sleep(GATHERING)

    async def _write_batch(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        if not batch:
            return
        try:
            answers = await self._write([item for item, _ in batch])
            # Compared in here: whatever goes wrong, the writer lives on.
            pairs = list(zip(batch, answers, strict=True))
        except AppointmentsError as error:
            for _, answer in batch:
                _fail(answer, error)
        except Exception as error:
            if len(batch) == 1:
                logger.exception("one item breaks the batch", operation=self._name)
                _fail(batch[0][1], error)
                return
            # One of them breaks the transaction: its neighbours must not suffer for it.
            logger.warning("batch split", operation=self._name, count=len(batch))
            middle = len(batch) // 2
            await self._write_batch(batch[:middle])
            await self._write_batch(batch[middle:])
        else:
            for (_, answer), result in pairs:
                if not answer.done():
                    answer.set_result(result)


def in_a_thread(
    write: Callable[[Sequence[T]], Sequence[R]], *, name: str
) -> Callable[[Sequence[T]], Awaitable[Sequence[R]]]:
    """Make a ``write`` of one that waits for a disk or a database: it runs in a thread of its own."""
    thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def write_in_it(items: Sequence[T]) -> Sequence[R]:
        return await asyncio.get_running_loop().run_in_executor(thread, write, items)

    return write_in_it


def _fail(answer: asyncio.Future[R], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
