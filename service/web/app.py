"""The composition root of the web process: engine, intake, blueprints, error handlers."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, request
from werkzeug.exceptions import NotFound

from service.errors import DatabaseUnavailableError
from service.postgres.circuit import Circuit
from service.postgres.engine import make_engine, transaction
from service.postgres.queries.changes import find_end, find_settled, find_versions
from service.postgres.replica import Replica
from service.spool import Spool, Spooled
from service.telemetry import log
from service.usecases.access.stored_tokens import check_tokens
from service.usecases.events.batches import Batches, in_a_thread
from service.usecases.events.drain_spool import Drainer
from service.usecases.events.intake import Intake, door_timeouts
from service.usecases.events.take_webhook import WebhookTaker
from service.web.openapi import arguments, pages
from service.web.policy import context, limits, problems, tracing
from service.web.process.waiting import CHANGES, SETTLED, as_known, until_settled
from service.web.views import appointments, catalogues, changes, events, metrics, ops, quarantine, stats
from service.web.views.metrics import StandingCollector

PROBE_TIMEOUT = timedelta(seconds=1)
"""How long one question may take that only metrics ask, or that is asked before the start."""

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Engine

    from service.config import Settings

logger = log.get_logger(__name__)

DOOR_CONNECTIONS = 2
"""One for batches of webhooks that need more than the door's own connection, one for the drainer of the spool."""


def create_app(settings: Settings) -> Flask:
    """Make the Flask application and everything behind it; ``service.web.application`` serves it beside webhooks.

    Whoever is done with it calls ``app.extensions["close"]``.
    """
    log.configure(settings.log_level)
    app = Flask("service", static_folder=None)
    app.config.update(
        API_TITLE="cobalt-appointments",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.1",
        MAX_CONTENT_LENGTH=settings.request_max_bytes,
        PROPAGATE_EXCEPTIONS=False,
    )
    app.url_map.merge_slashes = False  # a redirect to the plain address would repeat the query, and all that is in it
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask types the provider by its base class
    engine = make_engine(
        settings.database_url,
        pool=settings.database_pool + 1,  # one for those who wait
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )
    door_engine = make_engine(settings.database_url, pool=DOOR_CONNECTIONS, **door_timeouts(settings))
    spool = Spool(settings.spool_dir, max_bytes=settings.spool_max_bytes)
    circuit = Circuit()
    app.extensions["settings"] = settings
    app.extensions["engine"] = engine
    replica = app.extensions["replica"] = _replica(settings)
    app.extensions["spool"] = spool
    app.extensions["drainer"] = Drainer(door_engine, spool, circuit)
    intake = Intake(door_engine, settings)
    app.extensions["taker"] = WebhookTaker(
        Batches(intake.apply, most=settings.intake_batch, queue_length=settings.intake_queue, name="door"),
        Batches(
            in_a_thread(partial(_put_on_disk, spool), name="spool"),
            most=settings.intake_batch,
            # All that wait for the door may come at once, when PostgreSQL hangs.
            queue_length=settings.intake_queue + settings.intake_batch,
            name="spool",
        ),
        circuit,
        settings,
    )

    standing_engine = make_engine(
        settings.database_url, pool=1, statement_timeout=PROBE_TIMEOUT, lock_timeout=PROBE_TIMEOUT
    )
    app.extensions["standing"] = StandingCollector(standing_engine, spool, replica)
    app.extensions["pools"] = {"api": engine, "door": door_engine} | ({"replica": replica.engine} if replica else {})

    def close() -> None:
        intake.close()
        standing_engine.dispose()
        door_engine.dispose()
        engine.dispose()
        if replica:
            replica.engine.dispose()
        spool.close()

    app.extensions["close"] = close
    app.extensions["look"] = partial(_look, engine)
    problems.register(app)
    tracing.register(app)
    context.register(app)
    limits.register(app, settings)
    app.before_request(_no_nul)
    arguments.register(app)
    api = app.extensions["api"] = pages.DescribedApi(app)
    for one in (appointments, catalogues, events, quarantine, stats, changes, ops, metrics, pages):
        api.register_blueprint(one.blueprint)
    app.add_url_rule("/docs/<version>/<name>", view_func=pages.asset)  # a part of the page, and of no interest itself
    problems.register(app)  # after flask-smorest, whose own error handler answers in another shape
    return app


def refuse_unreadable_tokens(settings: Settings) -> None:
    """See to it, before the first request, that the stored access tokens can be decrypted.

    Webhooks can be taken without PostgreSQL, so one that is away stops nothing; the worker looks again.

    Raises:
        SettingsError: They cannot; see ``check_tokens``.
    """
    engine = make_engine(settings.database_url, pool=1, statement_timeout=PROBE_TIMEOUT, lock_timeout=PROBE_TIMEOUT)
    try:
        check_tokens(engine, settings)
    except DatabaseUnavailableError as error:
        logger.warning("stored access tokens cannot be looked at now", problem=type(error).__name__)
    finally:
        engine.dispose()  # no process that is forked may share its connection


def _replica(settings: Settings) -> Replica | None:
    if settings.read_database_url is None:
        return None
    engine = make_engine(
        settings.read_database_url,
        pool=settings.database_pool,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )
    return Replica(engine, most_behind=settings.read_after_write / 2)


def _put_on_disk(spool: Spool, bodies: Sequence[Spooled]) -> list[None]:
    spool.put(bodies)
    return [None] * len(bodies)


def _look(engine: Engine, awaited: Collection[str]) -> dict[str, str]:
    """Find how everything is now that callers wait for; see ``service.web.process.waiting``."""
    asked_for = {one.removeprefix(SETTLED) for one in awaited if one.startswith(SETTLED)}
    with transaction(engine) as session:
        found = {one: as_known(version) for one, version in find_versions(session, awaited).items()}
        found |= {until_settled(one): as_known(1) for one in find_settled(session, asked_for)}
        if CHANGES in awaited:
            end = find_end(session)
            found[CHANGES] = as_known(end.number, end.appointment_id)
    return found


def _no_nul() -> None:
    if "\0" in request.path:  # PostgreSQL cannot even be asked for one: nothing is there
        raise NotFound
