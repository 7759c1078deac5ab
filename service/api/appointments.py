"""Appointments over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import current_app, url_for
from flask.views import MethodView
from flask_smorest import Blueprint

from service.api import representation
from service.api.auth import requires, sees_phi
from service.api.cursors import BadCursorError, decode, encode
from service.api.problems import problem
from service.api.schemas import AppointmentIn, AppointmentListOut, AppointmentOut, ListQuery, TimelineOut
from service.api.tracing import request_id
from service.db import transaction
from service.store import appointment_views
from service.usecases.request_appointment import AppointmentRequest, request_appointment

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy import Engine

    from service.config import Settings
    from service.models import Appointment

blueprint = Blueprint("appointments", __name__, url_prefix="/v1/appointments", description="Requests and outcomes")


@blueprint.route("")
class AppointmentList(MethodView):
    """All appointments."""

    @blueprint.arguments(AppointmentIn)
    @blueprint.response(HTTPStatus.ACCEPTED, AppointmentOut)
    @requires("write")
    def post(self, body: dict[str, Any]) -> Any:  # noqa: ANN401
        """Ask for an appointment: it is kept at once, and submitted to Cobalt by a worker."""
        wanted = AppointmentRequest(
            fields=AppointmentIn.cobalt_fields(body),
            account=body.get("account"),
            metadata=body["metadata"],
            request_id=request_id(),
        )
        row = request_appointment(_engine(), _settings(), wanted)
        location = url_for("appointments.OneAppointment", appointment_id=row.id)
        return _shown(row), HTTPStatus.ACCEPTED, {"Location": location}

    @blueprint.arguments(ListQuery, location="query")
    @blueprint.response(HTTPStatus.OK, AppointmentListOut)
    @requires("read")
    def get(self, query: dict[str, Any]) -> Any:  # noqa: ANN401
        """List appointments, newest first unless told otherwise."""
        filters = {name: query[name] for name in appointment_views.FILTERS if name in query}
        listing = filters | {"sort": query["sort"]}
        try:
            after = decode(query["cursor"], listing) if "cursor" in query else None
        except BadCursorError:
            return _bad_cursor()
        with transaction(_engine()) as session:
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

    @blueprint.response(HTTPStatus.OK, AppointmentOut)
    @requires("read")
    def get(self, appointment_id: str) -> Any:  # noqa: ANN401
        """Read one appointment."""
        with transaction(_engine()) as session:
            return _shown(appointment_views.get_appointment(session, appointment_id))


@blueprint.route("/<appointment_id>/timeline")
class Timeline(MethodView):
    """The history of one appointment."""

    @blueprint.response(HTTPStatus.OK, TimelineOut)
    @requires("read")
    def get(self, appointment_id: str) -> Any:  # noqa: ANN401
        """Read everything that happened to an appointment: why is it in this state?"""
        with transaction(_engine()) as session:
            history = appointment_views.get_history(session, appointment_id)
        return {
            "appointment_id": appointment_id,
            "data": representation.timeline(history, unmasked=sees_phi()),
        }


def _shown(row: Appointment) -> dict[str, Any]:
    return representation.appointment(row, unmasked=sees_phi(), overdue_after=_settings().overdue_after)


def _bad_cursor() -> ResponseReturnValue:
    return problem(
        HTTPStatus.BAD_REQUEST,
        "This cursor is not one of this list's: use `next_cursor` unaltered, with the same filters and sort.",
        {"/query/cursor": "Is not a cursor of this list."},
    )


def _engine() -> Engine:
    engine: Engine = current_app.extensions["engine"]
    return engine


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
