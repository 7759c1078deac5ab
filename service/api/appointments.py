"""Appointments over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from service.api import representation
from service.api.arguments import Blueprint
from service.api.auth import caller, requires, sees_phi
from service.api.context import engine, settings
from service.api.cursors import BadCursorError, decode, encode
from service.api.idempotency import answer_once
from service.api.problems import problem
from service.api.schemas import (
    AppointmentIn,
    AppointmentListOut,
    AppointmentOut,
    CorrectionIn,
    ListQuery,
    TimelineOut,
    check_fields,
)
from service.api.tracing import request_id
from service.db import transaction
from service.store import appointment_views
from service.usecases.correct import CorrectionRequest, correct
from service.usecases.idempotency import Answer
from service.usecases.request_appointment import AppointmentRequest, request_appointment

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from service.models import Appointment

blueprint = Blueprint("appointments", __name__, url_prefix="/v1/appointments", description="Requests and outcomes")


@blueprint.route("")
class AppointmentList(MethodView):
    """All appointments."""

    @requires("write")
    @blueprint.arguments(AppointmentIn)
    @blueprint.response(HTTPStatus.ACCEPTED, AppointmentOut)
    def post(self, body: dict[str, Any]) -> Any:  # noqa: ANN401
        """Ask for an appointment: it is kept at once, and submitted to Cobalt by a worker."""
        wanted = AppointmentRequest(
            fields=AppointmentIn.cobalt_fields(body),
            account=body.get("account"),
            metadata=body["metadata"],
            request_id=request_id(),
        )
        return answer_once(lambda session: _taken(request_appointment(session, settings(), wanted)))

    @requires("read")
    @blueprint.arguments(ListQuery, location="query")
    @blueprint.response(HTTPStatus.OK, AppointmentListOut)
    def get(self, query: dict[str, Any]) -> Any:  # noqa: ANN401
        """List appointments, newest first unless told otherwise."""
        filters = {name: query[name] for name in appointment_views.FILTERS if name in query}
        listing = filters | {"sort": query["sort"]}
        try:
            after = decode(query["cursor"], listing) if "cursor" in query else None
        except BadCursorError:
            return _bad_cursor()
        with transaction(engine()) as session:
            page = appointment_views.list_appointments(
                session, filters=filters, sort=query["sort"], after=after, limit=query["limit"]
            )
        shown = [_shown(row) for row in page.rows]
        if page.last is None:
            return {"data": shown, "next_cursor": None}
        next_cursor = encode(page.last, listing)
        following = url_for("appointments.AppointmentList", **listing, limit=query["limit"], cursor=next_cursor)
        return {"data": shown, "next_cursor": next_cursor}, HTTPStatus.OK, {"Link": f'<{following}>; rel="next"'}


@blueprint.route("/<appointment_id>")
class OneAppointment(MethodView):
    """One appointment."""

    @requires("read")
    @blueprint.response(HTTPStatus.OK, AppointmentOut)
    def get(self, appointment_id: str) -> Any:  # noqa: ANN401
        """Read one appointment."""
        with transaction(engine()) as session:
            return _shown(appointment_views.get_appointment(session, appointment_id))

    @requires("write")
    @blueprint.arguments(CorrectionIn(partial=True))
    @blueprint.response(HTTPStatus.ACCEPTED, AppointmentOut)
    def patch(self, body: dict[str, Any], appointment_id: str) -> Any:  # noqa: ANN401
        """Correct a failed appointment: Cobalt is told what changed, and tries again."""
        return _next_attempt(appointment_id, body)


@blueprint.route("/<appointment_id>/resubmit")
class Resubmission(MethodView):
    """Another attempt, with nothing changed."""

    @requires("write")
    @blueprint.response(HTTPStatus.ACCEPTED, AppointmentOut)
    def post(self, appointment_id: str) -> Any:  # noqa: ANN401
        """Have a failed appointment tried once more as it is."""
        return _next_attempt(appointment_id, {})


@blueprint.route("/<appointment_id>/timeline")
class Timeline(MethodView):
    """The history of one appointment."""

    @requires("read")
    @blueprint.response(HTTPStatus.OK, TimelineOut)
    def get(self, appointment_id: str) -> Any:  # noqa: ANN401
        """Read everything that happened to an appointment: why is it in this state?"""
        with transaction(engine()) as session:
            history = appointment_views.get_history(session, appointment_id)
        return {
            "appointment_id": appointment_id,
            "data": representation.timeline(history, unmasked=sees_phi()),
        }


def _next_attempt(appointment_id: str, changes: dict[str, Any]) -> Any:  # noqa: ANN401
    wanted = CorrectionRequest(
        appointment_id=appointment_id, changes=changes, key_id=caller().key_id, request_id=request_id()
    )
    return answer_once(lambda session: _taken(correct(session, wanted, check=check_fields)))


def _taken(row: Appointment) -> Answer:
    location = url_for("appointments.OneAppointment", appointment_id=row.id)
    return Answer(HTTPStatus.ACCEPTED, _shown(row), {"Location": location})


def _shown(row: Appointment) -> dict[str, Any]:
    return representation.appointment(row, unmasked=sees_phi(), overdue_after=settings().overdue_after)


def _bad_cursor() -> ResponseReturnValue:
    return problem(
        HTTPStatus.BAD_REQUEST,
        "This cursor is not one of this list's: use `next_cursor` unaltered, with the same filters and sort.",
        {"/query/cursor": "Is not a cursor of this list."},
    )
