"""Group commit: what arrives while a write is under way shares the next one."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from service import log
from service.errors import AppointmentsError, BatchesFullError, TooSlowError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")

logger = log.get_logger(__name__)


class _Item(Generic[T, R]):
    """What waits to be written, and what came of it.

    A lock tells when: a Future would do, and costs several times as much, for each event.
    """

    __slots__ = ("_error", "_written", "answer", "given_up", "what")

    answer: R

    def __init__(self, what: T) -> None:
        self.what = what
        self.given_up = False
        self._error: Exception | None = None
        self._written = threading.Lock()
        self._written.acquire()

    def wait(self, seconds: float) -> bool:
        """Wait until it is written or broken; False when the time has passed."""
        if not self._written.acquire(timeout=max(0.0, seconds)):
            self.given_up = True
            return False
        if self._error is not None:
            raise self._error
        return True

    def succeed(self, answer: R) -> None:
        self.answer = answer
        self._written.release()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._written.release()


class Batches(Generic[T, R]):
    """One writer per process, which takes all that waits and writes it together.

    A lone item never waits for company: the writer takes what is there, at once. While it commits, others
    gather, so the busier it is the larger the batches, and the cheaper each item.

    Args:
        write: Writes a batch, whole or not at all, and answers for each item.
        most: Items in one batch at most.
        queue_length: Items that may wait at most: beyond that, refusing is better than growing.
        name: The writer's, for logs.
    """

    def __init__(self, write: Callable[[Sequence[T]], Sequence[R]], *, most: int, queue_length: int, name: str) -> None:
        self._write = write
        self._most = most
        self._name = name
        self._waiting: queue.Queue[_Item[T, R]] = queue.Queue(queue_length)
        self._starting = threading.Lock()
        self._writer: threading.Thread | None = None

    def put(self, item: T, *, within: float) -> R:
        """Write one item, in whatever company there is.

        Args:
            item: What to write.
            within: Seconds. When they have passed the item may still be written: writing must be idempotent.

        Raises:
            BatchesFullError: Too many items wait already.
            TooSlowError: The time has passed.
        """
        self._start_writer()
        waiting: _Item[T, R] = _Item(item)
        try:
            self._waiting.put_nowait(waiting)
        except queue.Full as error:
            raise BatchesFullError(f"too many wait for the {self._name}") from error
        if not waiting.wait(within):
            raise TooSlowError(f"the {self._name} did not write in time")
        return waiting.answer

    def _start_writer(self) -> None:
        # Here and not at start, because the web server forks after the application is made.
        if self._writer is None:
            with self._starting:
                if self._writer is None:
                    self._writer = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._writer.start()

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            try:
                while len(batch) < self._most:
                    batch.append(self._waiting.get_nowait())
            except queue.Empty:
                pass
            self._write_batch([one for one in batch if not one.given_up])

    def _write_batch(self, batch: Sequence[_Item[T, R]]) -> None:
        if not batch:
            return
        try:
            # Compared in here: whatever goes wrong, the writer lives on.
            answers = list(zip(batch, self._write([one.what for one in batch]), strict=True))
        except AppointmentsError as error:
            for one in batch:
                one.fail(error)
        except Exception as error:
            if len(batch) == 1:
                logger.exception("one item breaks the batch", operation=self._name)
                batch[0].fail(error)
                return
            # One of them breaks the transaction: its neighbours must not suffer for it.
            logger.warning("batch split", operation=self._name, count=len(batch))
            middle = len(batch) // 2
            self._write_batch(batch[:middle])
            self._write_batch(batch[middle:])
        else:
            for one, answer in answers:
                one.succeed(answer)
