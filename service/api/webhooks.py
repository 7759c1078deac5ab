"""The address that Cobalt's webhook configuration points at."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, current_app, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from service.api.problems import problem
from service.api.tracing import request_id

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from service.config import Settings
    from service.usecases.take_webhook import WebhookTaker

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/cobalt")
def take_webhook() -> ResponseReturnValue:
    """Take an event from Cobalt: 2xx only when it is kept, 4xx only when it is not Cobalt's."""
    settings: Settings = current_app.extensions["settings"]
    request.max_content_length = settings.webhook_max_bytes
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is larger than any webhook of Cobalt's.")
    taker: WebhookTaker = current_app.extensions["webhooks"]
    answer = taker.take(raw, request.headers.get("cobalt-verification"), request_id())
    if answer.http_status == HTTPStatus.UNAUTHORIZED:
        return problem(HTTPStatus.UNAUTHORIZED, "The header cobalt-verification does not sign this body.")
    if answer.disposition is None:
        return problem(
            answer.http_status,
            "There is nowhere to keep this now; send it again.",
            None,
            {"Retry-After": "1"},
        )
    return jsonify({"event_id": answer.event_id, "disposition": answer.disposition.value}), answer.http_status
