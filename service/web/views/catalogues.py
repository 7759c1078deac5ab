"""Catalogues of accounts over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from service.domain.catalogue import KINDS
from service.errors import NotFoundError
from service.postgres.queries import catalogues
from service.usecases.access.accounts import account_timezones
from service.web.openapi.arguments import Blueprint
from service.web.policy.auth import requires
from service.web.policy.context import reading, settings
from service.web.schemas.catalogues import CatalogueOut

if TYPE_CHECKING:
    from service.postgres.models import Catalogue

blueprint = Blueprint(
    "catalogues", __name__, url_prefix="/v1/accounts", description="What the EHRs of the linked accounts know"
)


@blueprint.route("/<account>/catalogue")
class OneCatalogue(MethodView):
    """The catalogue of one account."""

    @requires("read")
    @blueprint.doc(operationId="getCatalogue")
    @blueprint.response(HTTPStatus.OK, CatalogueOut)
    def get(self, account: str) -> Any:  # noqa: ANN401
        """Read what an account's EHR knows.

        Providers, locations and visit types as Cobalt lists them, and how old the list is. A request that names
        something else is refused with 422 while the list is fresh; `Prefer: handling=lenient` sends it all the same.
        """
        with reading() as session:
            if account not in account_timezones(session, settings()):
                raise NotFoundError("there is no account with this name")
            return _shown(account, catalogues.find_catalogue(session, account))


def _shown(account: str, row: Catalogue | None) -> dict[str, Any]:
    listed = catalogues.listed(row) if row else None
    entries = listed.entries if listed else {}
    age = datetime.now(UTC) - listed.fetched_at if listed else None
    return {
        "object": "catalogue",
        "account": account,
        "fetched_at": listed.fetched_at.isoformat().replace("+00:00", "Z") if listed else None,
        "age_seconds": int(age.total_seconds()) if age else None,
        "is_fresh": age is not None and age < settings().catalogue_max_age,
        "preflight": row is None or row.preflight,
        "problem": row.problem if row else None,
    } | {kind: [{"id": one.id, "name": one.name} for one in entries.get(kind, ())] for kind in KINDS}
