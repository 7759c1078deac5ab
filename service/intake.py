"""Group commit: events that arrive while a transaction is under way share the next one."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

from service import log
from service.errors import DatabaseUnavailableError, IntakeFullError
from service.usecases.apply_events import apply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from service.states import Disposition
    from service.store.events import Arrival

logger = log.get_logger(__name__)

Waiting = tuple["Arrival", "Future[Disposition]"]


class Intake:
    """One writer per process, which takes all events that wait and applies them together.

    A lone event never waits for company: the writer takes what is there, at once. While it commits, others
    gather, so the busier it is the larger the batches, and the cheaper each event.

    Args:
        engine: Where events go.
        batch: Events in one transaction at most.
        queue_length: Events that may wait at most: beyond that, refusing is better than growing.
    """

    def __init__(self, engine: Engine, *, batch: int, queue_length: int) -> None:
        self._engine = engine
        self._batch = batch
        self._waiting: queue.Queue[Waiting] = queue.Queue(queue_length)
        self._starting = threading.Lock()
        self._writer: threading.Thread | None = None

    def take(self, arrival: Arrival, *, within: float) -> Disposition:
        """Apply one event through the one door, in whatever company there is.

        Args:
            arrival: The event.
            within: Seconds. When they have passed the event may still be applied, which does no harm: it
                would be a duplicate the next time.

        Raises:
            DatabaseUnavailableError: PostgreSQL is away or slower than that.
            IntakeFullError: Too many events wait already.
        """
        self._start_writer()
        answer: Future[Disposition] = Future()
        try:
            self._waiting.put_nowait((arrival, answer))
        except queue.Full as error:
            raise IntakeFullError("too many events wait for a transaction") from error
        try:
            return answer.result(timeout=within)
        except FutureTimeoutError as error:
            answer.cancel()
            raise DatabaseUnavailableError("PostgreSQL did not commit in time") from error

    def _start_writer(self) -> None:
        # Here and not at start, because the web server forks after the application is made.
        if self._writer is None:
            with self._starting:
                if self._writer is None:
                    self._writer = threading.Thread(target=self._write, name="intake", daemon=True)
                    self._writer.start()

    def _write(self) -> None:
        while True:
            batch = [self._waiting.get()]
            try:
                while len(batch) < self._batch:
                    batch.append(self._waiting.get_nowait())
            except queue.Empty:
                pass
            self._apply([one for one in batch if one[1].set_running_or_notify_cancel()])

    def _apply(self, batch: Sequence[Waiting]) -> None:
        if not batch:
            return
        try:
            dispositions = apply(self._engine, [arrival for arrival, _ in batch])
        except DatabaseUnavailableError as error:
            for _, answer in batch:
                answer.set_exception(error)
        except Exception as error:
            if len(batch) == 1:
                logger.exception("event could not be applied", event_id=batch[0][0].event.id)
                batch[0][1].set_exception(error)
                return
            # One of them breaks the transaction: its neighbours must not suffer for it.
            logger.warning("batch split", count=len(batch))
            for one in batch:
                self._apply([one])
        else:
            for (_, answer), disposition in zip(batch, dispositions, strict=True):
                answer.set_result(disposition)
