"""Every address asks for a key, unless the interface says that it is public."""

from __future__ import annotations

import pytest

from service.web.app import create_app
from tests.settings import settings_from

# The whole list, from the interface. Pages that need a session are named here when they come.
PUBLIC = {
    "/webhooks/cobalt": "signed",
    "/livez": "probe",
    "/readyz/api": "probe",
    "/readyz/webhooks": "probe",
    "/metrics": "scraped from inside",
    "/openapi.json": "documentation",
    "/docs": "documentation",
    "/docs/<version>/<name>": "what that page consists of",
}
SCOPES = {"read", "phi", "write", "ops"}
WRITING = {"POST", "PATCH", "PUT", "DELETE"}


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str | None]:
    """(method, rule) -> the scope it asks for."""
    app = create_app(settings_from(SPOOL_DIR=str(tmp_path_factory.mktemp("spool"))))
    found = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        view_class = getattr(view, "view_class", None)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            handler = getattr(view_class, method.lower()) if view_class else view
            found[method, rule.rule] = getattr(handler, "scope", None)
    return found


def test_every_route_asks_for_a_scope_or_is_public(routes: dict[tuple[str, str], str | None]) -> None:
    open_routes = {rule for (_, rule), scope in routes.items() if scope is None}
    assert open_routes <= set(PUBLIC)
    assert {scope for scope in routes.values() if scope} <= SCOPES


def test_nothing_that_is_public_asks_for_a_key(routes: dict[tuple[str, str], str | None]) -> None:
    assert [rule for (_, rule), scope in routes.items() if rule in PUBLIC and scope] == []


def test_whatever_changes_something_asks_for_more_than_reading(routes: dict[tuple[str, str], str | None]) -> None:
    changing = {scope for (method, rule), scope in routes.items() if method in WRITING and rule not in PUBLIC}
    assert changing <= {"write", "ops"}
