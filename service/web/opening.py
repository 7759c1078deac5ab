"""Opens what the web process works with, and nothing halfway: an error closes what was opened before it."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from service.errors import DatabaseUnavailableError
from service.postgres.circuit import Circuit
from service.postgres.engine import make_engine
from service.postgres.replica import Replica
from service.spool import Spool, Spooled
from service.telemetry import log
from service.usecases.access.stored_tokens import check_tokens
from service.usecases.events.batches import Batches, in_a_thread
from service.usecases.events.drain_spool import Drainer
from service.usecases.events.intake import Intake, door_timeouts
from service.usecases.events.take_webhook import WebhookTaker
from service.web.policy.limits import Limits
from service.web.services import Services
from service.web.views.metrics import StandingCollector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from service.config import Settings

DOOR_CONNECTIONS = 2
"""One for batches of webhooks that need more than the door's own connection, one for the drainer of the spool."""
PROBE_TIMEOUT = timedelta(seconds=1)
"""How long a query may take that only metrics need, or the start of the process."""

logger = log.get_logger(__name__)


def open_services(settings: Settings) -> Services:
    """Open everything that one web process works with; ``Services.close`` closes it."""
    with ExitStack() as on_error:
        closing = on_error.enter_context(ExitStack())
        api_timeouts = {
            "statement_timeout": settings.statement_timeout,
            "lock_timeout": settings.statement_timeout / 2,
        }
        waiters = 1  # one more connection, to look for all callers that wait
        engine = _open_pool(closing, settings.database_url, pool=settings.database_pool + waiters, **api_timeouts)
        replica = None
        if settings.read_database_url is not None:
            pool = _open_pool(closing, settings.read_database_url, pool=settings.database_pool, **api_timeouts)
            replica = Replica(pool, most_behind=settings.read_after_write / 2)
        spool = Spool(settings.spool_dir, max_bytes=settings.spool_max_bytes)
        closing.callback(spool.close)
        door = _open_pool(closing, settings.database_url, pool=DOOR_CONNECTIONS, **door_timeouts(settings))
        intake = Intake(door, settings)
        closing.callback(intake.close)
        circuit = Circuit()
        quick = _open_pool(
            closing, settings.database_url, pool=1, statement_timeout=PROBE_TIMEOUT, lock_timeout=PROBE_TIMEOUT
        )
        opened = Services(
            settings=settings,
            engine=engine,
            replica=replica,
            spool=spool,
            drainer=Drainer(door, spool, circuit),
            taker=_make_taker(intake, spool, circuit, settings),
            standing=StandingCollector(quick, spool, replica),
            limits=Limits(settings.rate_limit, settings.in_flight_limit),
            pools={"api": engine, "door": door} | ({"replica": replica.engine} if replica else {}),
            closing=closing,
        )
        on_error.pop_all()  # from here on whoever asked for it closes it
        return opened


def refuse_unreadable_tokens(settings: Settings) -> None:
    """See to it, before the first request, that the stored access tokens can be decrypted.

    Webhooks can be taken without PostgreSQL, so one that is away stops nothing; the worker looks again.

    Raises:
        SettingsError: They cannot; see ``check_tokens``.
    """
    with ExitStack() as stack:  # no process that is forked may share the connection
        engine = _open_pool(
            stack, settings.database_url, pool=1, statement_timeout=PROBE_TIMEOUT, lock_timeout=PROBE_TIMEOUT
        )
        try:
            check_tokens(engine, settings)
        except DatabaseUnavailableError as error:
            logger.warning("stored access tokens cannot be looked at now", problem=type(error).__name__)


def _open_pool(
    stack: ExitStack, url: str, *, pool: int, statement_timeout: timedelta, lock_timeout: timedelta
) -> Engine:
    engine = make_engine(url, pool=pool, statement_timeout=statement_timeout, lock_timeout=lock_timeout)
    stack.callback(engine.dispose)
    return engine


def _make_taker(intake: Intake, spool: Spool, circuit: Circuit, settings: Settings) -> WebhookTaker:
    door = Batches(intake.apply, most=settings.intake_batch, queue_length=settings.intake_queue, name="door")
    disk = Batches(
        in_a_thread(partial(_put_on_disk, spool), name="spool"),
        most=settings.intake_batch,
        # All that wait for the door may come at once, when PostgreSQL hangs.
        queue_length=settings.intake_queue + settings.intake_batch,
        name="spool",
    )
    return WebhookTaker(door, disk, circuit, settings)


def _put_on_disk(spool: Spool, bodies: Sequence[Spooled]) -> list[None]:
    spool.put(bodies)
    return [None] * len(bodies)
