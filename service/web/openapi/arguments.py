"""Reads the arguments of a request, more strictly than flask-smorest would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask_smorest
from flask import request
from webargs.flaskparser import FlaskParser, abort

from service.errors import InvalidFieldsError
from service.requests.strict import names_of
from service.web.openapi.document import TAKES
from service.web.policy.json_bodies import read_json

if TYPE_CHECKING:
    from flask import Flask, Request
    from marshmallow import Schema

TWICE = "Is there twice; give it once."

_parameters: set[str] = set()
"""Names of all parameters in queries; another name may be something of a patient's, and is not repeated."""


def register(app: Flask) -> None:
    """Have every address refuse parameters that are given more than once: nobody can say which of them is meant."""
    app.before_request(_refuse_repeated)


class Parser(FlaskParser):
    """Lets a schema decide what becomes of unknown names, and takes JSON only.

    415 to what is not sent as JSON, 400 to whatever is none.
    """

    # webargs would drop unknown query parameters whatever their schema says, and a misspelt filter filter nothing.
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012 (webargs declares it like this)
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": None,
    }

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ANN401
        """Read the body; without an end to its nesting, or with a number of thousands of digits, it is no JSON."""
        if not req.is_json:
            abort(415)
        try:
            return read_json(req.get_data(cache=True), schema.fields)
        except (RecursionError, ValueError) as error:
            abort(400, exc=error)


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask-smorest ships no types
    """A flask-smorest blueprint with that parser, whose views name the headers that only they know.

    The request headers that a view reads are named by ``takes``, those that it answers by ``headers=headers(...)``
    of ``response``; ``service.web.openapi.parts`` describes each. All else about a view is found out.
    """

    ARGUMENTS_PARSER = Parser()

    def arguments(self, schema: Any, *, location: str = "json", **rest: Any) -> Any:  # noqa: ANN401 (the same)
        """Say what a view takes, as flask-smorest would."""
        if location == "query":
            _parameters.update(names_of((schema() if isinstance(schema, type) else schema).fields))
        return super().arguments(schema, location=location, **rest)

    def takes(self, *names: str) -> Any:  # noqa: ANN401 (flask-smorest has no types)
        """Say that a view reads these request headers."""
        return self.doc(**{TAKES: list(names)})


def _refuse_repeated() -> None:
    if request.url_rule is not None:
        repeated = [name for name, values in request.args.lists() if len(values) > 1]
        if repeated:
            raise InvalidFieldsError(
                {f"/query/{name}" if name in _parameters else "/query": TWICE for name in repeated}
            )
