"""Reads the arguments of a request, more strictly than flask-smorest would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask_smorest
from webargs.flaskparser import FlaskParser, abort

if TYPE_CHECKING:
    from flask import Request
    from marshmallow import Schema


class Parser(FlaskParser):
    """Lets a schema decide what becomes of unknown names, and answers 400 to whatever is no JSON."""

    # webargs would drop unknown query parameters whatever their schema says, and a misspelt filter filter nothing.
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012 (webargs declares it like this)
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": None,
    }

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ANN401
        """Read the body; without an end to its nesting, or with a number of thousands of digits, it is no JSON."""
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError) as error:
            abort(400, exc=error)


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask-smorest ships no types
    """A flask-smorest blueprint with that parser."""

    ARGUMENTS_PARSER = Parser()
