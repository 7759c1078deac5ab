"""The composition root of the web process: what answers which address, and what is done around every request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, request
from werkzeug.exceptions import NotFound

from service.telemetry import log
from service.web.openapi import arguments, pages
from service.web.opening import open_services
from service.web.policy import context, limits, problems, tracing
from service.web.services import attach
from service.web.views import accounts, appointments, catalogues, changes, events, metrics, ops, quarantine, stats

if TYPE_CHECKING:
    from service.config import Settings


def create_app(settings: Settings) -> Flask:
    """Make the Flask application and open what it works with; ``service.web.application`` serves it beside webhooks.

    ``services_of(app).close()`` closes that.
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
    tracing.register(app)
    context.register(app)
    limits.register(app)
    app.before_request(_no_nul)
    arguments.register(app)
    api = pages.describe(app)
    for one in (appointments, accounts, catalogues, events, quarantine, stats, changes, ops, metrics, pages):
        api.register_blueprint(one.blueprint)
    app.add_url_rule("/docs/<version>/<name>", view_func=pages.asset)  # a part of the page, and of no interest itself
    problems.register(app)  # after flask-smorest, whose own error handler answers in another shape
    attach(app, open_services(settings))  # last: if anything above breaks, nothing has to be closed
    return app


def _no_nul() -> None:
    if "\0" in request.path:  # PostgreSQL cannot even be asked for one: nothing is there
        raise NotFound
