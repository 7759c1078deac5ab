"""Serves the document, and a page that shows it without asking anyone but us."""

from __future__ import annotations

import hashlib
import json
from functools import cache, cached_property
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import flask_smorest
from flask import Response, current_app, request
from werkzeug.exceptions import NotFound

from service.requests.schema import STORABLE, storable
from service.web.openapi.arguments import Blueprint
from service.web.openapi.document import build
from service.web.openapi.parts import headers

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from flask import Flask
    from flask.typing import ResponseReturnValue
    from marshmallow.fields import Field

blueprint = Blueprint("documentation", __name__, description="This document")

_NAME = "api"

KINDS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
}
"""What the page consists of; all but the last comes with the package flask-swagger-ui."""

# Swagger UI draws its icons from data in its style sheet.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>cobalt-appointments API</title>
<link rel="icon" type="image/png" href="/docs/{version}/favicon-32x32.png">
<link rel="stylesheet" href="/docs/{version}/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<noscript>This page needs JavaScript; <a href="/openapi.json">the document</a> does not.</noscript>
<script src="/docs/{version}/swagger-ui-bundle.js"></script>
<script src="/docs/{version}/start.js"></script>
</body>
</html>
"""


class DescribedApi(flask_smorest.Api):  # type: ignore[misc]  # flask-smorest ships no types
    """flask-smorest, without its own notion of errors; the document is built when first asked for."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.ma_plugin.converter.add_attribute_function(_storable)
        self._described = app

    def document(self) -> dict[str, Any]:
        """Build the document of all blueprints."""
        return build(self._described, self)

    @cached_property
    def content(self) -> bytes:
        """The document as text."""
        return json.dumps(self.document(), ensure_ascii=False, separators=(",", ":")).encode()


def describe(app: Flask) -> DescribedApi:
    """Have an application describe the blueprints that are registered with what this returns."""
    api = app.extensions[_NAME] = DescribedApi(app)
    return api


def described(app: Flask) -> DescribedApi:
    """Get what describes an application."""
    found: DescribedApi = app.extensions[_NAME]
    return found


@blueprint.route("/openapi.json")
@blueprint.response(
    HTTPStatus.OK, {"type": "object"}, description="OpenAPI 3.1", headers=headers("ETag", "Cache-Control")
)
@blueprint.alt_response(HTTPStatus.NOT_MODIFIED, description="As it was.", headers=headers("ETag", "Cache-Control"))
@blueprint.takes("If-None-Match")
@blueprint.doc(operationId="getOpenapi")
def openapi_json() -> ResponseReturnValue:
    """Read this document.

    It is made from the same schemas that check what goes in and shape what comes out.
    """
    content = described(current_app).content
    response = Response(content, mimetype="application/json")
    response.set_etag(hashlib.sha256(content).hexdigest()[:32])
    response.headers["Cache-Control"] = "no-cache"
    return response.make_conditional(request)


@blueprint.route("/docs")
@blueprint.response(
    HTTPStatus.OK,
    {"type": "string"},
    content_type="text/html",
    description="HTML",
    example="<!doctype html>...",
    headers=headers("Cache-Control", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"),
)
@blueprint.doc(operationId="getDocs")
def docs() -> ResponseReturnValue:
    """Read this document as a page.

    It asks no other server for anything.
    """
    return _guarded(Response(PAGE.format(version=_version()), mimetype="text/html"), "no-cache")


def _storable(_converter: object, field: Field[Any], *, ret: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Have the document say of each text that must be storable, what that is."""
    return {"pattern": STORABLE} if storable in field.validators and "pattern" not in ret else {}


def asset(version: str, name: str) -> ResponseReturnValue:
    """Give out a part of the page; under this version it never changes."""
    if name not in KINDS or version != _version():
        raise NotFound
    response = Response(_file(name).read_bytes(), mimetype=KINDS[name])
    return _guarded(response, "public, max-age=31536000, immutable")


def _guarded(response: Response, cache_control: str) -> Response:
    response.headers["Cache-Control"] = cache_control
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _file(name: str) -> Traversable:
    if name == "start.js":
        return files(__package__ or "") / name
    return files("flask_swagger_ui") / "dist" / name


@cache
def _version() -> str:
    digest = hashlib.sha256()
    for name in KINDS:
        digest.update(_file(name).read_bytes())
    return digest.hexdigest()[:16]
