"""Group commit: what arrives while a write is under way shares the next one."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Generic, TypeVar

from service import log
from service.errors import AppointmentsError, BatchesFullError, TooSlowError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")

logger = log.get_logger(__name__)


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
        self._waiting: queue.Queue[tuple[T, Future[R]]] = queue.Queue(queue_length)
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
        answer: Future[R] = Future()
        try:
            self._waiting.put_nowait((item, answer))
        except queue.Full as error:
            raise BatchesFullError(f"too many wait for the {self._name}") from error
        try:
            return answer.result(timeout=max(0.0, within))
        except FutureTimeoutError as error:
            answer.cancel()
            raise TooSlowError(f"the {self._name} did not write in time") from error

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
            self._write_batch([one for one in batch if one[1].set_running_or_notify_cancel()])

    def _write_batch(self, batch: Sequence[tuple[T, Future[R]]]) -> None:
        if not batch:
            return
        try:
            # Compared in here: whatever goes wrong, the writer lives on.
            answers = list(zip(batch, self._write([item for item, _ in batch]), strict=True))
        except AppointmentsError as error:
            for _, answer in batch:
                answer.set_exception(error)
        except Exception as error:
            if len(batch) == 1:
                logger.exception("one item breaks the batch", operation=self._name)
                batch[0][1].set_exception(error)
                return
            # One of them breaks the transaction: its neighbours must not suffer for it.
            logger.warning("batch split", operation=self._name, count=len(batch))
            middle = len(batch) // 2
            self._write_batch(batch[:middle])
            self._write_batch(batch[middle:])
        else:
            for (_, answer), result in answers:
                answer.set_result(result)
