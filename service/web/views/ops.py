"""For those who operate the service: is it alive, can it take webhooks, can it answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from service.errors import DatabaseUnavailableError, SpoolUnavailableError
from service.postgres.engine import transaction
from service.web.openapi.arguments import Blueprint
from service.web.policy.problems import problem
from service.web.schemas.appointments import HealthOut
from service.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("operations", __name__, description="For load balancers and monitoring")

WELL = {"status": "ok"}


@blueprint.route("/livez")
@blueprint.response(HTTPStatus.OK, HealthOut)
def livez() -> Any:  # noqa: ANN401
    """Say that the process answers.

    Restart it when it does not.
    """
    return WELL


@blueprint.route("/readyz/api")
@blueprint.response(HTTPStatus.OK, HealthOut)
@blueprint.alt_response(HTTPStatus.SERVICE_UNAVAILABLE)
def readyz_api() -> Any:  # noqa: ANN401
    """Say whether PostgreSQL answers and takes writes.

    Send requests to `/v1` elsewhere while it does not.
    """
    try:
        with transaction(services().engine) as session:
            session.execute(text("SELECT 1 FROM appointments LIMIT 1"))
            takes_writes = session.scalar(text("SHOW transaction_read_only")) == "off"
    except DatabaseUnavailableError:
        return _not_ready("PostgreSQL does not answer.")
    return WELL if takes_writes else _not_ready("PostgreSQL takes no writes.")


@blueprint.route("/readyz/webhooks")
@blueprint.response(HTTPStatus.OK, HealthOut)
@blueprint.alt_response(HTTPStatus.SERVICE_UNAVAILABLE)
def readyz_webhooks() -> Any:  # noqa: ANN401
    """Say whether webhooks can be kept.

    They can while the spool can be written, even without PostgreSQL. Send webhooks elsewhere while it cannot, and
    where they are switched off.
    """
    if not services().settings.takes_webhooks:
        return _not_ready("Webhooks are switched off here.")
    try:
        services().spool.check()
    except SpoolUnavailableError:
        return _not_ready("The spool cannot be written.")
    return WELL


def _not_ready(detail: str) -> ResponseReturnValue:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "1"})
