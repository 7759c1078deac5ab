"""Makes the faults happen: kills, freezes and fills on schedule, and puts right again what it broke."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import httpx

from service.lab.drill.disk import SpoolDisk
from service.lab.drill.plan import Window
from service.lab.processes import Process
from service.lab.stack import Stack

# Faults of one lane come one after the other, so that one instance is always left; lanes run side by side.
LANES = {
    "postgres-kill": "postgres",
    "postgres-freeze": "postgres",
    "disk-full": "disk",
    "web-kill": "web",
    "worker-kill": "worker",
    "racing-webhooks": "webhooks",
    "workers-stopped": "worker",
    "list-down": "list",
}
Do = Callable[[], object]


class Injector:
    """Plays a schedule on a running stack.

    Args:
        stack: one with an embedded PostgreSQL.
        disk: under the spools.
        delay: the sandbox's usual seconds from a call to its webhook.
        say: told what happens, in words.
    """

    def __init__(self, stack: Stack, disk: SpoolDisk, *, delay: float, say: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._stack = stack
        self._disk = disk
        self._delay = delay
        self._say = say
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, windows: Sequence[Window]) -> None:
        """Begin; the schedule's second 0 is now."""
        began = time.monotonic()
        for lane in sorted(set(LANES.values())):
            mine = [window for window in windows if LANES[window.fault] == lane]
            self._threads.append(threading.Thread(target=self._play, args=(mine, began), name=lane, daemon=True))
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Wait until the last fault is over and put right."""
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Cut the schedule short; what is broken just now is still put right."""
        self._stop.set()
        self.finish()

    def _play(self, windows: Sequence[Window], began: float) -> None:
        for window in windows:
            if self._stop.wait(max(0.0, began + window.at - time.monotonic())):
                return
            what, begin, end = self._fault(window)
            self._say(f"{what} for {window.seconds:.1f} s")
            self.counts[window.fault] += 1
            try:
                begin()
                self._stop.wait(window.seconds)
                end()
            except Exception as error:  # noqa: BLE001  whatever it was: a drill without its faults proves nothing
                self.problems.append(f"{what}: {type(error).__name__}: {error}")
                return
            self._say(f"{what}: over")

    def _fault(self, window: Window) -> tuple[str, Do, Do]:
        """What it is called, how it begins and how it ends."""
        if window.fault.startswith(("web-", "worker-")):
            return self._death(*self._instance(window))
        postgres = self._stack.postgres
        assert postgres is not None  # noqa: S101  see the class
        slow_again = partial(self._set, delay=self._delay)
        up_again = partial(self._set, events_unavailable=0)
        faults: Mapping[str, tuple[str, Do, Do]] = {
            "disk-full": ("spool disk full", self._disk.fill, self._disk.empty),
            "racing-webhooks": ("webhooks race with replies", partial(self._set, delay=0), slow_again),
            "workers-stopped": ("all workers stopped", self._stop_workers, self._start_workers),
            "list-down": ("Cobalt's list of events down", partial(self._set, events_unavailable=1), up_again),
            "postgres-freeze": ("PostgreSQL frozen", postgres.freeze, postgres.thaw),
            "postgres-kill": ("PostgreSQL killed", postgres.kill, postgres.start),
        }
        return faults[window.fault]

    def _instance(self, window: Window) -> tuple[Process, str]:
        """Return the instance that a window kills, and the sign that it is ready again."""
        if window.fault == "web-kill":
            return self._stack.webs[window.target], f"{self._stack.web_urls[window.target]}/livez"
        return self._stack.workers[window.target], "worker ready"

    def _death(self, process: Process, ready: str) -> tuple[str, Do, Do]:
        def start() -> None:
            process.start()
            process.wait_ready(ready)

        return f"{process.name} killed", process.kill, start

    def _stop_workers(self) -> None:
        for worker in self._stack.workers:
            worker.terminate(timeout=30)

    def _start_workers(self) -> None:
        for worker in self._stack.workers:
            worker.start()
        for worker in self._stack.workers:
            worker.wait_ready("worker ready")

    def _set(self, **faults: float) -> None:
        url = self._stack.sandbox_url.removesuffix("/v1") + "/_sandbox/faults"
        httpx.put(url, json=faults, timeout=10, trust_env=False).raise_for_status()
