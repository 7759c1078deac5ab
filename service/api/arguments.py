"""Reads the arguments of a request, more strictly than flask-smorest would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask_smorest
from webargs.flaskparser import FlaskParser, abort

from service.api.json_bodies import read_json
from service.api.openapi.document import TAKES

if TYPE_CHECKING:
    from flask import Request
    from marshmallow import Schema


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
    of ``response``; ``service.api.openapi.parts`` describes each. All else about a view is found out.
    """

    ARGUMENTS_PARSER = Parser()

    def takes(self, *names: str) -> Any:  # noqa: ANN401 (flask-smorest has no types)
        """Say that a view reads these request headers."""
        return self.doc(**{TAKES: list(names)})
