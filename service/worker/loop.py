"""The only loop: calls each job's ``run_once``, and ends within its grace after SIGTERM, whatever Cobalt does."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.cobalt import Cobalt
from service.config.misspelt import log_misspelt
from service.errors import DatabaseFaultError, DatabaseUnavailableError
from service.postgres.engine import make_engine, transaction
from service.postgres.queries.revision import is_current
from service.telemetry import log, metrics
from service.usecases.access.catalogues import Refresher
from service.usecases.access.idempotency import forget_answers
from service.usecases.access.stored_tokens import check_tokens
from service.usecases.submissions.ask_cobalt import Asker, sweep_unmatched
from service.usecases.submissions.submit import Submitter, expire_leases
from service.usecases.upkeep.keep_changes import keep_changes
from service.usecases.upkeep.keep_counts import fold_counts
from service.worker.address import LIVE, READY, Beat, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlalchemy import Engine

    from service.config import Settings
    from service.worker.address import Health

CONNECTIONS = 20
"""To PostgreSQL: however many calls are in flight, each needs one for a moment before and after."""
SWEEP_EVERY = 60.0
CATALOGUES_EVERY = 5.0
SWEEPS_EVERY = 1.0
"""Seconds: behind mechanisms that leave nothing to sweep."""
FOLD_EVERY = 2.0
"""Seconds: what is not folded yet is added up for each answer of the stats."""
MARK_EVERY = 10.0
"""Seconds: what changed since the last mark comes twice after a fail-over."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds until a job that failed runs again; they double."""
MIGRATIONS_EVERY = 1.0
"""Seconds between looks whether the database was migrated."""
NOT_THERE = frozenset({"3F000", "42P01", "42703", "42883"})
"""SQLSTATEs: there is no such schema, table, column or function."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
FOR_CALLS = 0.8
"""Of the grace: what is left then is for recording what became of the calls."""

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
        self._pause = 0.0

    def run_when_due(self) -> None:
        """Run it, unless it is too early.

        Raises:
            DatabaseFaultError: A table or a column is not there.
        """
        if time.monotonic() < self._due:
            return
        try:
            counts = self._run_once()
        except DatabaseUnavailableError as error:
            if not self._pause:
                logger.warning("PostgreSQL is away", operation=self._name, problem=type(error).__name__)
            self._put_off()
            if isinstance(error, DatabaseFaultError) and error.sqlstate in NOT_THERE:
                raise
        except Exception:
            logger.exception("job broke", operation=self._name)
            self._put_off()
        else:
            self._pause = 0.0
            self._due = time.monotonic() + self._every
            if any(counts.values()):
                logger.debug("job ran", operation=self._name, counts=dict(counts))

    def _put_off(self) -> None:
        self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self._due = time.monotonic() + max(self._every, self._pause)


class Ending:
    """The end of the process: asked for by SIGTERM or SIGINT, and there at the latest when the grace is over.

    A thread of its own takes the signals: it is not in the middle of anything when they come.

    Args:
        grace: Seconds.
    """

    def __init__(self, grace: float) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # here, and in every thread from now on
        self.asked_for = threading.Event()
        self._grace = grace
        self._there = threading.Event()

    def watch(self, look: threading.Event, client: Cobalt) -> None:
        """Wait for the signal from now on; then see to it that the loop looks, and that no call takes too long."""
        threading.Thread(target=self._watch, args=(look, client), name="ending", daemon=True).start()

    def reached(self) -> None:
        """Say that everything is finished."""
        self._there.set()

    def _watch(self, look: threading.Event, client: Cobalt) -> None:
        logger.info("stopping", signal=signal.sigwait(SIGNALS))
        self.asked_for.set()
        look.set()
        if not self._there.wait(self._grace * FOR_CALLS):
            logger.warning("calls to Cobalt are broken off")
            client.end()
        if not self._there.wait(self._grace * (1 - FOR_CALLS)):
            logger.error("worker ends without having recorded every call: they become unconfirmed")
            sys.stdout.flush()
            os._exit(1)


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    log.configure(settings.log_level)
    log_misspelt(os.environ)
    ending = Ending(settings.worker_grace.total_seconds())
    look = threading.Event()
    engine = make_engine(
        settings.database_url,
        pool=CONNECTIONS,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )
    beat = Beat()
    with _own_address(settings, engine, beat), Cobalt(settings) as client:
        submitter = Submitter(engine, settings, client, on_done=look.set)
        asker = Asker(engine, settings, client)
        refresher = Refresher(engine, settings, client)
        jobs = [
            *_jobs(engine, settings, submitter, asker),
            Job("refresh catalogues", refresher.run_once, every=CATALOGUES_EVERY),
        ]
        ending.watch(look, client)
        logger.info("worker ready", count=settings.cobalt_concurrency)
        _wait_for_tokens(engine, settings, ending.asked_for)
        while not ending.asked_for.is_set():
            look.clear()
            beat.give()
            _run_jobs(jobs, engine, ending.asked_for, beat)
            look.wait(settings.worker_interval.total_seconds())
        submitter.finish()
        asker.finish()
        refresher.finish()
    ending.reached()
    logger.info("worker stopped")


def _wait_for_tokens(engine: Engine, settings: Settings, stopping: threading.Event) -> None:
    """See to it that the stored access tokens can be decrypted, as soon as PostgreSQL can be asked for them.

    Raises:
        SettingsError: They cannot.
    """
    pause = FIRST_PAUSE
    while not stopping.is_set():
        try:
            check_tokens(engine, settings)
        except DatabaseFaultError:
            return  # the jobs say what is wrong there; without tables there are no accounts
        except DatabaseUnavailableError as error:
            if pause == FIRST_PAUSE:
                logger.warning("PostgreSQL is away", operation="check access tokens", problem=type(error).__name__)
            stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        else:
            return


def _jobs(engine: Engine, settings: Settings, submitter: Submitter, asker: Asker) -> list[Job]:
    interval = settings.worker_interval.total_seconds()
    return [
        Job("submit", submitter.run_once),
        Job("expire leases", lambda: expire_leases(engine), every=interval),
        Job("ask Cobalt", asker.run_once, every=interval),
        Job("sweep", asker.sweeper.run_once, every=max(interval, SWEEPS_EVERY)),
        Job("sweep unmatched", lambda: sweep_unmatched(engine), every=SWEEP_EVERY),
        Job("forget answers", lambda: forget_answers(engine), every=SWEEP_EVERY),
        Job("fold counts", lambda: fold_counts(engine), every=FOLD_EVERY),
        Job("keep changes", lambda: keep_changes(engine), every=MARK_EVERY),
    ]


def _run_jobs(jobs: Iterable[Job], engine: Engine, stopping: threading.Event, beat: Beat) -> None:
    for job in jobs:
        if stopping.is_set():
            return
        try:
            job.run_when_due()
        except DatabaseFaultError:
            if not _is_migrated(engine):
                _wait_for_migrations(engine, stopping, beat)
                return


def _wait_for_migrations(engine: Engine, stopping: threading.Event, beat: Beat) -> None:
    logger.error("the database lacks migrations: run `cobalt-appointments db upgrade`; waiting for it")
    while not stopping.wait(MIGRATIONS_EVERY):
        beat.give()
        if _is_migrated(engine):
            logger.info("the database is ready")
            return


def _is_migrated(engine: Engine) -> bool:
    try:
        with transaction(engine) as session:
            return is_current(session)
    except DatabaseUnavailableError:
        return False


@contextmanager
def _own_address(settings: Settings, engine: Engine, beat: Beat) -> Iterator[None]:
    """Show metrics and health to whoever asks, where there is a port for it."""
    if settings.metrics_port is None:
        yield
        return
    health: Health = {
        LIVE: (beat.is_fresh, "The loop does not come round."),
        READY: (lambda: _is_migrated(engine), "PostgreSQL does not answer, or lacks migrations."),
    }
    with serving(settings.host, settings.metrics_port, health):
        end = metrics.start({"worker": engine})
        try:
            yield
        finally:
            end()
