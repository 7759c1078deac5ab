"""The feed of changes over HTTP."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from service.errors import InvalidCursorError
from service.postgres.engine import driver
from service.postgres.queries import changes
from service.postgres.queries.changes import Position
from service.requests.strict import StrictSchema
from service.usecases.submissions.find_news import NextChange
from service.web.openapi.arguments import Blueprint
from service.web.openapi.parts import headers
from service.web.policy.answers import json_answer
from service.web.policy.auth import requires, sees_phi
from service.web.policy.context import as_of, cursors, overdue_before, reading
from service.web.policy.later import answer_later, would_wait
from service.web.policy.reads import record_read
from service.web.schemas.appointments import CURSOR, MOST_PER_PAGE, AppointmentOut
from service.web.views import representation

if TYPE_CHECKING:
    from flask import Response

    from service.web.policy.cursors import Cursors

NOW = "now"
TIED_TO = {"feed": "changes"}

blueprint = Blueprint("changes", __name__, url_prefix="/v1/changes", description="What changed, to be followed")


class ChangesQuery(StrictSchema):
    """Where to go on, and how far."""

    after = fields.String(
        metadata={"description": "`next_cursor` of the answer before; `now` for what changes from now on; left out,"
                  " for everything from the beginning", "example": NOW}
    )  # fmt: skip
    limit = fields.Integer(
        load_default=50,
        validate=validate.Range(1, MOST_PER_PAGE),
        metadata={"description": "Appointments in one answer at most", "example": 50},
    )


class ChangesOut(Schema):
    """Appointments that changed, oldest change first, each once and as it is now."""

    data = fields.List(fields.Nested(AppointmentOut), required=True)
    next_cursor = fields.String(
        required=True,
        metadata={"description": "Goes on here; always given, also when nothing is new", "example": CURSOR},
    )
    more = fields.Boolean(required=True, metadata={"description": "Whether there is more already: ask again at once"})
    as_of = fields.String(required=True, metadata={"format": "date-time", "description": "As the header `As-Of`"})


@blueprint.route("")
class ChangesView(MethodView):
    """Changes."""

    @requires("read")
    @blueprint.doc(operationId="followChanges")
    @blueprint.arguments(ChangesQuery, location="query")
    @blueprint.takes("Prefer")
    @blueprint.response(HTTPStatus.OK, ChangesOut, headers=headers("Link", "Preference-Applied"))
    @blueprint.alt_response(HTTPStatus.BAD_REQUEST)
    @blueprint.alt_response(HTTPStatus.GONE)
    def get(self, query: dict[str, Any]) -> Response:
        """Read which appointments changed since the cursor.

        None is ever skipped, whoever writes meanwhile. Keep `next_cursor` and go on from there, after days too.
        """
        asked = query.get("after")
        after = None if asked in {None, NOW} else read_cursor(cursors(), asked)
        with reading() as session:
            if asked == NOW:
                found = changes.Changes([], changes.find_end(session), more=False)
            else:
                found = changes.list_changes(session, after=after, limit=query["limit"])
            record_read(driver(session), [row.id for row in found.rows])
        if found.rows or not would_wait():
            return _answer(found, query["limit"])
        return answer_later(NextChange(found.last), then=partial(_answer_after, found.last, query["limit"]))


def _answer_after(position: Position, limit: int) -> Response:
    """Answer what there is after a position by now."""
    with reading() as session:
        found = changes.list_changes(session, after=position, limit=limit)
        record_read(driver(session), [row.id for row in found.rows])
    return _answer(found, limit)


def _answer(found: changes.Changes, limit: int) -> Response:
    shown = [
        representation.appointment(row, unmasked=sees_phi(), overdue_before=overdue_before()) for row in found.rows
    ]
    cursor = write_cursor(cursors(), found.last)
    body = {"data": shown, "next_cursor": cursor, "more": found.more, "as_of": representation.time_text(as_of())}
    following = url_for("changes.ChangesView", after=cursor, limit=limit)
    return json_answer(body, headers={"Link": f'<{following}>; rel="next"'})


def write_cursor(cursors: Cursors, position: Position) -> str:
    """Make the cursor of a position."""
    place = [position.database, position.timeline, position.number, position.appointment_id]
    return cursors.seal(place, TIED_TO)


def read_cursor(cursors: Cursors, cursor: str) -> Position:
    """Read a cursor.

    Raises:
        InvalidCursorError: It is not one of this feed's, or not as it was given.
    """
    try:
        return Position(*cursors.unseal(cursor, TIED_TO))
    except InvalidCursorError as error:
        raise InvalidCursorError("after") from error
