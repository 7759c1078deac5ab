"""How long the processes take to start, until they do their work."""

import statistics
import time
from collections.abc import Mapping

from service.lab.stack import Stack

TIMES = 3  # the median counts


def start_up_times(stack: Stack) -> Mapping[str, float]:
    """Start the first web instance and the worker a few times; returns seconds from the command to readiness.

    The web instance runs afterwards, the worker does not.
    """
    web, worker = stack.webs[0], stack.workers[0]
    webs, workers = [], []
    for _ in range(TIMES):
        web.terminate()
        began = time.monotonic()
        web.start()
        web.wait_ready(f"{stack.url}/readyz/api")
        webs.append(time.monotonic() - began)
        began = time.monotonic()
        worker.start()
        worker.wait_ready("worker ready")
        workers.append(time.monotonic() - began)
        worker.terminate()
    return {"web process": statistics.median(webs), "worker": statistics.median(workers)}
