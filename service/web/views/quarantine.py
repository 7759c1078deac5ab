"""The quarantine over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from service.errors import NotFoundError
from service.postgres.engine import driver, transaction
from service.postgres.queries import quarantine
from service.usecases.access.idempotency import WriteAnswer
from service.usecases.events.replay import accept_within, dismiss_within, replay_within
from service.web.openapi.arguments import Blueprint
from service.web.openapi.parts import headers
from service.web.policy.auth import caller, requires, sees_phi
from service.web.policy.context import engine
from service.web.policy.idempotency import answer_once
from service.web.policy.reads import record_read
from service.web.schemas.appointments import (
    QuarantinedOut,
    QuarantinedSummaryOut,
    QuarantineListOut,
    QuarantineQuery,
    ReplayOut,
)
from service.web.views import representation
from service.web.views.paging import asked_of, next_page

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

blueprint = Blueprint(
    "quarantine", __name__, url_prefix="/v1/quarantine", description="Authentic bytes that could not be taken"
)


@blueprint.route("")
class QuarantineList(MethodView):
    """All of the quarantine."""

    @requires("ops")
    @blueprint.doc(operationId="listQuarantine")
    @blueprint.arguments(QuarantineQuery, location="query")
    @blueprint.response(HTTPStatus.OK, QuarantineListOut, headers=headers("Link"))
    def get(self, query: dict[str, Any]) -> Any:  # noqa: ANN401
        """List the quarantine.

        Newest first, without the content.
        """
        limit = query["limit"]
        asked = asked_of(QuarantineQuery(), query)
        with transaction(engine()) as session:
            rows = quarantine.list_quarantined(session, after=asked.place and asked.place[1], limit=limit + 1)
        last = (rows[limit - 1].received_at, rows[limit - 1].id) if len(rows) > limit else None
        shown = [representation.quarantined(row) for row in rows[:limit]]
        cursor, link = next_page(asked, last)
        return {"data": shown, "next_cursor": cursor}, HTTPStatus.OK, link


@blueprint.route("/<quarantined_id>")
class OneQuarantined(MethodView):
    """One record of the quarantine."""

    @requires("ops")
    @blueprint.doc(operationId="getQuarantined")
    @blueprint.response(HTTPStatus.OK, QuarantinedOut)
    def get(self, quarantined_id: str) -> Any:  # noqa: ANN401
        """Read one record of the quarantine.

        Its content needs the scope `phi` as well, for nobody can say what is in it.
        """
        with transaction(engine()) as session:
            row = quarantine.find_quarantined(session, quarantined_id)
            if row is None:
                raise NotFoundError("there is nothing in quarantine under this id")
            record_read(driver(session), [row.id])
        return representation.quarantined(row, content=sees_phi())


@blueprint.route("/<quarantined_id>/replay")
class Replay(MethodView):
    """Another try at reading."""

    @requires("ops")
    @blueprint.doc(operationId="replayQuarantined")
    @blueprint.response(HTTPStatus.OK, ReplayOut)
    def post(self, quarantined_id: str) -> ResponseReturnValue:
        """Read a record again, after a fix.

        Any number of times; the event is applied once.
        """

        def work(session: Session) -> WriteAnswer:
            disposition, event_id = replay_within(session, quarantined_id)
            return WriteAnswer(HTTPStatus.OK, {"disposition": disposition.value, "event_id": event_id}, {})

        return answer_once(work)


@blueprint.route("/<quarantined_id>/accept")
class Accept(MethodView):
    """A person's word that both bodies under one id are events."""

    @requires("ops")
    @blueprint.doc(operationId="acceptQuarantined")
    @blueprint.response(HTTPStatus.OK, ReplayOut)
    def post(self, quarantined_id: str) -> ResponseReturnValue:
        """Take what contradicts a known event for an event of its own.

        The rule decides between the two, as between any others. Its id is the known one's, a `~`, and the
        record's. Any number of times; the event is applied once.
        """
        person = caller().name

        def work(session: Session) -> WriteAnswer:
            disposition, event_id = accept_within(session, quarantined_id, person=person)
            return WriteAnswer(HTTPStatus.OK, {"disposition": disposition.value, "event_id": event_id}, {})

        return answer_once(work)


@blueprint.route("/<quarantined_id>/dismiss")
class Dismiss(MethodView):
    """A person's word that a record needs nothing more."""

    @requires("ops")
    @blueprint.doc(operationId="dismissQuarantined")
    @blueprint.response(HTTPStatus.OK, QuarantinedSummaryOut)
    def post(self, quarantined_id: str) -> ResponseReturnValue:
        """Have a record wait no longer.

        It is kept, with who said so, until retention removes it.
        """
        person = caller().name

        def work(session: Session) -> WriteAnswer:
            record = dismiss_within(session, quarantined_id, person=person)
            return WriteAnswer(HTTPStatus.OK, representation.quarantined(record), {})

        return answer_once(work)
