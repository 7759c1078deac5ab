"""The only loop: calls each job's ``run_once``, sleeps, stops on SIGTERM when what is in flight is finished."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from prometheus_client import start_http_server

from service import log, metrics
from service.cobalt import Cobalt
from service.db import make_engine
from service.errors import DatabaseUnavailableError, SettingsError
from service.usecases.ask_cobalt import Asker, sweep_unmatched
from service.usecases.idempotency import forget_answers
from service.usecases.keep_changes import keep_changes
from service.usecases.keep_counts import fold_counts
from service.usecases.submit import Submitter, expire_leases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from sqlalchemy import Engine

    from service.config import Settings

CONNECTIONS = 20
"""To PostgreSQL: however many calls are in flight, each needs one for a moment before and after."""
SWEEP_EVERY = 60.0
"""Seconds: behind mechanisms that leave nothing to sweep."""
FOLD_EVERY = 2.0
"""Seconds: what is not folded yet is added up for each answer of the stats."""
MARK_EVERY = 10.0
"""Seconds: what changed since the last mark comes twice after a fail-over."""

logger = log.get_logger(__name__)


class Job:
    """One thing that the loop does again and again; one that fails does not keep the others from running.

    Args:
        name: For the log.
        run_once: Does it, and returns counts.
        every: Seconds between two runs; each round of the loop when it is 0, and so after each call to Cobalt.
    """

    def __init__(self, name: str, run_once: Callable[[], Mapping[str, int]], *, every: float = 0) -> None:
        self._name = name
        self._run_once = run_once
        self._every = every
        self._due = time.monotonic()

    def run_when_due(self) -> None:
        """Run it, unless it is too early."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._every
        try:
            counts = self._run_once()
        except DatabaseUnavailableError as error:
            logger.warning("PostgreSQL cannot be used", operation=self._name, problem=type(error).__name__)
        except Exception:
            logger.exception("job broke", operation=self._name)
        else:
            if any(counts.values()):
                logger.debug("job ran", operation=self._name, counts=dict(counts))


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    log.configure(settings.log_level)
    stopping = threading.Event()
    look = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        logger.info("stopping", signal=number)
        stopping.set()
        look.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    engine = make_engine(
        settings.database_url,
        pool=CONNECTIONS,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )
    interval = settings.worker_interval.total_seconds()
    end_metrics = _show_metrics(settings, engine)
    with Cobalt(settings) as client:
        submitter = Submitter(engine, settings, client, on_done=look.set)
        asker = Asker(engine, settings, client)
        jobs = [
            Job("submit", submitter.run_once),
            Job("expire leases", lambda: expire_leases(engine), every=interval),
            Job("ask Cobalt", asker.run_once, every=interval),
            Job("sweep unmatched", lambda: sweep_unmatched(engine), every=SWEEP_EVERY),
            Job("forget answers", lambda: forget_answers(engine), every=SWEEP_EVERY),
            Job("fold counts", lambda: fold_counts(engine), every=FOLD_EVERY),
            Job("keep changes", lambda: keep_changes(engine), every=MARK_EVERY),
        ]
        logger.info("worker ready", count=settings.cobalt_concurrency)
        while not stopping.is_set():
            look.clear()
            for job in jobs:
                job.run_when_due()
            look.wait(interval)
        submitter.finish()
        asker.finish()
    end_metrics()
    logger.info("worker stopped")


def _show_metrics(settings: Settings, engine: Engine) -> Callable[[], None]:
    """Show this process's metrics to whoever scrapes; returns what ends that."""
    if settings.metrics_port is None:
        return lambda: None
    try:
        server, _ = start_http_server(settings.metrics_port, addr=settings.host, registry=metrics.REGISTRY)
    except OSError as error:
        raise SettingsError(f"METRICS_PORT: port {settings.metrics_port} cannot be listened on") from error
    end = metrics.start({"worker": engine})

    def stop() -> None:
        end()
        server.shutdown()
        server.server_close()

    return stop
