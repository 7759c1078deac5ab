"""The composition root of the web process: engine, intake, blueprints, error handlers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Flask, request
from flask_smorest import Api
from werkzeug.exceptions import UnsupportedMediaType

from service import log
from service.api import appointments, ops, problems, tracing, webhooks
from service.db import make_engine
from service.intake import Intake
from service.usecases.take_webhook import MARGIN, WebhookTaker

if TYPE_CHECKING:
    from service.config import Settings

INTAKE_CONNECTIONS = 2
"""One for the writer, one for the quarantine."""


def create_app(settings: Settings) -> Flask:
    """Make the WSGI application."""
    log.configure(settings.log_level)
    app = Flask("service", static_folder=None)
    app.config.update(
        API_TITLE="cobalt-appointments",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        MAX_CONTENT_LENGTH=settings.request_max_bytes,
        PROPAGATE_EXCEPTIONS=False,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask types the provider by its base class
    budget = settings.webhook_budget - timedelta(seconds=MARGIN)
    engine = make_engine(
        settings.database_url,
        pool=settings.database_pool,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.statement_timeout / 2,
    )
    intake_engine = make_engine(
        settings.database_url, pool=INTAKE_CONNECTIONS, statement_timeout=budget, lock_timeout=budget / 2
    )
    intake = Intake(intake_engine, batch=settings.intake_batch, queue_length=settings.intake_queue)
    app.extensions["settings"] = settings
    app.extensions["engine"] = engine
    app.extensions["webhooks"] = WebhookTaker(intake_engine, intake, settings)
    problems.register(app)
    tracing.register(app)
    app.before_request(_only_json)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(ops.blueprint)
    api = Api(app)
    api.register_blueprint(appointments.blueprint)
    problems.register(app)  # after flask-smorest, whose own error handler answers in another shape
    return app


def _only_json() -> None:
    if request.blueprint == "appointments" and request.method in {"POST", "PATCH"} and not request.is_json:
        raise UnsupportedMediaType
