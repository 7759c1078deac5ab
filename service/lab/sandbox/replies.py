"""What every view shares: who is calling, what they sent, and the shape of an answer."""

import json
from collections.abc import Mapping

import httpx
from flask import Response, current_app, request

from service.lab.sandbox.events import stringify
from service.lab.sandbox.fields import RefusedError
from service.lab.sandbox.refusals import LOGIN_REQUIRED, Refusals
from service.lab.sandbox.settings import Settings

ERROR_SHAPE = "SANDBOX_ERROR_SHAPE"


def reply(body: Mapping[str, object], status: int = 200) -> Response:
    """A JSON reply."""
    return Response(stringify(body), status, mimetype="application/json")


def reply_failed(status: int, message: str) -> Response:
    """Cobalt's error reply, in the shape that the sandbox speaks."""
    shape = current_app.config.get(ERROR_SHAPE)
    body: dict[str, object]
    if message == LOGIN_REQUIRED:
        beside = {"success": False, "message": "The login to the EHR does not work any more"}
        return reply({**(beside if shape == "success" else {}), "error": message}, status)
    match shape:
        case "message":
            body = {"message": message}
        case "error":
            body = {"error": message}
        case _:
            body = {"success": False, "message": message}
    return reply(body, status)


def read_body() -> object:
    """The request's JSON.

    Raises:
        RefusedError: 400.
    """
    try:
        body: object = json.loads(request.get_data())
    except (ValueError, RecursionError):
        raise RefusedError(400, "The request body must be JSON") from None
    return body


def authenticate_client(settings: Settings) -> None:
    """Check `client_id` and `client_secret`.

    Raises:
        RefusedError: 401.
    """
    given = (request.headers.get("client_id"), request.headers.get("client_secret"))
    if given != (settings.client_id, settings.client_secret):
        raise RefusedError(401, "Invalid client_id or client_secret")


def authenticate_account(settings: Settings, refusals: Refusals) -> str:
    """Check all three headers; the account the `access_token` belongs to.

    Args:
        settings: For what is right.
        refusals: Accounts that are refused for a time.

    Raises:
        RefusedError: 401, or as a refused account is answered.
    """
    authenticate_client(settings)
    account = settings.accounts.get(request.headers.get("access_token", ""))
    if account is None:
        raise RefusedError(401, "Invalid access_token")
    refusals.check(account)
    return account


def is_web_address(url: str) -> bool:
    """Whether a webhook could be sent there; plain http too, for a sandbox talks to its own machine."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    return parts.scheme in {"http", "https"} and bool(parts.host)
