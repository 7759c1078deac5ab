"""For those who operate the service: is it alive, can it take webhooks, can it answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, current_app, jsonify
from sqlalchemy import text

from service.api.problems import problem
from service.db import transaction
from service.errors import DatabaseUnavailableError, SpoolUnavailableError

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("ops", __name__)


@blueprint.get("/livez")
def livez() -> ResponseReturnValue:
    """Say that the process answers; restart it when it does not."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz/api")
def readyz_api() -> ResponseReturnValue:
    """Say whether PostgreSQL answers and takes writes; send requests elsewhere while it does not."""
    try:
        with transaction(current_app.extensions["engine"]) as session:
            session.execute(text("SELECT 1 FROM appointments LIMIT 1"))
            takes_writes = session.scalar(text("SHOW transaction_read_only")) == "off"
    except DatabaseUnavailableError:
        return _not_ready("PostgreSQL does not answer.")
    return jsonify({"status": "ok"}) if takes_writes else _not_ready("PostgreSQL takes no writes.")


@blueprint.get("/readyz/webhooks")
def readyz_webhooks() -> ResponseReturnValue:
    """Say whether webhooks can be kept: the spool can be written, even while PostgreSQL is away."""
    try:
        current_app.extensions["spool"].check()
    except SpoolUnavailableError:
        return _not_ready("The spool cannot be written.")
    return jsonify({"status": "ok"})


def _not_ready(detail: str) -> ResponseReturnValue:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "1"})
