"""The only loop: calls each job's ``run_once``, sleeps, stops on SIGTERM when what is in flight is finished."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from service import log
from service.cobalt import Cobalt
from service.db import make_engine
from service.errors import DatabaseUnavailableError
from service.usecases.submit import Submitter, expire_leases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from service.config import Settings

logger = log.get_logger(__name__)


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
        pool=settings.cobalt_concurrency + 2,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )
    with Cobalt(settings) as client:
        submitter = Submitter(engine, settings, client, on_done=look.set)
        jobs: dict[str, Callable[[], Mapping[str, int]]] = {
            "submit": submitter.run_once,
            "expire leases": lambda: expire_leases(engine),
        }
        logger.info("worker ready", count=settings.cobalt_concurrency)
        while not stopping.is_set():
            look.clear()
            for name, job in jobs.items():
                _run_once(name, job)
            look.wait(settings.worker_interval.total_seconds())
        submitter.finish()
    logger.info("worker stopped")


def _run_once(name: str, job: Callable[[], Mapping[str, int]]) -> None:
    """Run a job; one that fails must not keep the others from running."""
    try:
        counts = job()
    except DatabaseUnavailableError:
        logger.warning("PostgreSQL is away", operation=name)
    except Exception:
        logger.exception("job broke", operation=name)
    else:
        if any(counts.values()):
            logger.debug("job ran", operation=name, counts=dict(counts))
