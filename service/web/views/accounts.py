"""Accounts over HTTP: their health, and what waits for them. No token of theirs is ever shown."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from service.errors import NotFoundError
from service.usecases.access.account_views import view_accounts
from service.web.openapi.arguments import Blueprint
from service.web.policy.auth import requires
from service.web.policy.context import reading, settings
from service.web.schemas.accounts import AccountListOut, AccountOut
from service.web.views.representation import time_text

if TYPE_CHECKING:
    from datetime import datetime

    from service.usecases.access.account_views import AccountView

blueprint = Blueprint("accounts", __name__, url_prefix="/v1/accounts", description="The linked EHR accounts")


@blueprint.route("")
class Accounts(MethodView):
    """All accounts."""

    @requires("read")
    @blueprint.doc(operationId="listAccounts")
    @blueprint.response(HTTPStatus.OK, AccountListOut)
    def get(self) -> Any:  # noqa: ANN401
        """List the accounts.

        With their health, what to do about it, and what waits for them.
        """
        with reading() as session:
            return {"data": [_shown(one) for one in view_accounts(session, settings())]}


@blueprint.route("/<account>")
class OneAccount(MethodView):
    """One account."""

    @requires("read")
    @blueprint.doc(operationId="getAccount")
    @blueprint.response(HTTPStatus.OK, AccountOut)
    def get(self, account: str) -> Any:  # noqa: ANN401
        """Read one account.

        As in the list.
        """
        with reading() as session:
            found = view_accounts(session, settings(), account)
        if not found:
            raise NotFoundError("there is no account with this name")
        return _shown(found[0])


def _shown(one: AccountView) -> dict[str, Any]:
    standing, queue = one.standing, one.queue
    return {
        "object": "account",
        "id": one.name,
        "is_linked": one.is_linked,
        "health": standing.health.value,
        "since": _time(standing.since),
        "reason": standing.reason and standing.reason.value,
        "remedy": one.remedy,
        "next_try_at": _time(standing.probe_at),
        "queue_length": queue.length if queue else 0,
        "oldest_queued_at": _time(queue.oldest if queue else None),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else time_text(at)
