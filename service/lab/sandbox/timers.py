"""Things to do later: a heap of due times and a small pool of threads."""

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Timers:
    """Runs jobs when they are due. Thousands may wait; only running ones hold a thread.

    One thread watches the heap and hands over what is due. Were the workers to watch it themselves,
    each due time would wake all of them.
    """

    def __init__(self, workers: int) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = itertools.count()
        self._changed = threading.Condition()
        self._due: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for work in (self._watch, *[self._work] * workers):
            threading.Thread(target=work, daemon=True).start()

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        """Run the job in so many seconds, or as soon as a thread is free."""
        if seconds <= 0:
            self._due.put(job)
            return
        with self._changed:
            due = time.monotonic() + seconds
            heapq.heappush(self._heap, (due, next(self._tie), job))
            if self._heap[0][0] == due:
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    self._due.put(heapq.heappop(self._heap)[2])
                self._changed.wait(self._heap[0][0] - now if self._heap else None)

    def _work(self) -> None:
        while True:
            job = self._due.get()
            try:
                job()
            except Exception:
                log.exception("a job failed")
