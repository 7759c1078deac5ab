"""Appointments over HTTP."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import request, url_for
from flask.views import MethodView

from service.postgres.engine import autocommit, driver
from service.postgres.queries import appointment_views
from service.postgres.queries.history import get_history
from service.requests.schema import AppointmentIn, CorrectionIn, check_fields
from service.telemetry import log
from service.usecases.access.idempotency import WriteAnswer
from service.usecases.submissions.correct import CorrectionRequest, correct
from service.usecases.submissions.find_news import NewVersion, Outcome
from service.usecases.submissions.request_appointment import AppointmentRequest, request_appointment
from service.web.openapi.arguments import Blueprint
from service.web.openapi.parts import headers
from service.web.policy.auth import caller, requires, sees_phi
from service.web.policy.context import engine, overdue_before, reading, reading_once, settings
from service.web.policy.etags import answer_unless_known, appointment_answer, refuse_if_changed
from service.web.policy.idempotency import answer_once
from service.web.policy.later import answer_later, would_wait
from service.web.policy.preferences import is_lenient, say_lenient
from service.web.policy.reads import record_read
from service.web.policy.tracing import request_id
from service.web.schemas.appointments import AppointmentListOut, AppointmentOut, TimelineOut
from service.web.schemas.list_query import ListQuery
from service.web.views import representation
from service.web.views.appointment_list import answer_list
from service.web.views.guessing import record_confirmed
from service.web.views.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Response
    from sqlalchemy.orm import Session

    from service.postgres.models import Appointment
    from service.postgres.queries.appointment_views import AppointmentRow

KEPT = ("Location", "Idempotent-Replayed")
"""Headers of the answer to a write that stay true when its outcome is answered."""

logger = log.get_logger(__name__)

blueprint = Blueprint("appointments", __name__, url_prefix="/v1/appointments", description="Requests and outcomes")


@blueprint.route("")
class AppointmentList(MethodView):
    """All appointments."""

    @requires("write")
    @blueprint.doc(operationId="requestAppointment")
    @blueprint.takes("Prefer")
    @blueprint.arguments(AppointmentIn())
    @blueprint.response(HTTPStatus.ACCEPTED, AppointmentOut, headers=headers("Location", "ETag", "Preference-Applied"))
    def post(self, body: dict[str, Any]) -> Any:  # noqa: ANN401
        """Ask for an appointment.

        It is kept at once, and submitted to Cobalt within a second. Send an `Idempotency-Key` and repeat the call
        with the same one when no answer came: nothing is ever asked for twice.
        """
        wanted = AppointmentRequest(
            fields=AppointmentIn.cobalt_fields(body),
            account=body.get("account"),
            metadata=body["metadata"],
            request_id=request_id(),
            is_lenient=is_lenient(),
        )

        def work(session: Session) -> WriteAnswer:
            return _taken(request_appointment(session, settings(), wanted))

        return _written(work)

    @requires("read")
    @blueprint.doc(operationId="listAppointments")
    @blueprint.arguments(ListQuery(), location="query")
    @blueprint.response(HTTPStatus.OK, AppointmentListOut, headers=headers("Link", "Vary", "Cache-Control"))
    @blueprint.alt_response(
        HTTPStatus.OK,
        schema={"type": "string"},
        content_type="text/csv",
        success=True,
        example="id,status,attempt\r\nappt_01M82H411FTRZNBWNK8888BX86,failed,1\r\n",
        headers=headers("Content-Disposition"),
    )
    @blueprint.alt_response(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    def get(self, query: dict[str, Any]) -> Response:
        """List appointments.

        Newest first, unless told otherwise. JSON comes a page at a time, and `next_cursor` and the header `Link` lead
        to the next one. With `Accept: text/csv` the whole list comes as one file, or one page if there is a `limit`;
        with `Accept: text/csv; charset=utf-8` it begins with a byte order mark, by which a spreadsheet knows UTF-8. In
        a file a text that a spreadsheet would run or rewrite begins with a `'`: a formula, or what looks like a number,
        a day or a time and is none, such as an MRN with zeros in front. Take that one off to read it.
        """
        return answer_list(query)


@blueprint.route("/<appointment_id>")
class OneAppointment(MethodView):
    """One appointment."""

    @requires("read")
    @blueprint.doc(operationId="getAppointment")
    @blueprint.response(HTTPStatus.OK, AppointmentOut, headers=headers("ETag", "Cache-Control", "Preference-Applied"))
    @blueprint.takes("If-None-Match", "Prefer")
    @blueprint.alt_response(
        HTTPStatus.NOT_MODIFIED,
        description="As it was.",
        headers=headers("ETag", "Cache-Control", "Preference-Applied"),
    )
    def get(self, appointment_id: str) -> Response:
        """Read one appointment.

        `status` is what became of it; `failure` says why, and what a person can do about it. With `If-None-Match`
        only if it has changed.
        """
        return _answer_one(appointment_id, may_wait=would_wait())

    @requires("write")
    @blueprint.doc(operationId="correctAppointment")
    @blueprint.takes("If-Match", "Prefer")
    @blueprint.arguments(CorrectionIn(partial=True))
    @blueprint.response(HTTPStatus.ACCEPTED, AppointmentOut, headers=headers("Location", "ETag", "Preference-Applied"))
    @blueprint.alt_response(HTTPStatus.PRECONDITION_FAILED)
    def patch(self, body: dict[str, Any], appointment_id: str) -> Any:  # noqa: ANN401
        """Correct a failed appointment.

        Cobalt is told what changed, and tries again. Fields that are not named stay as they were; null removes an
        optional one. Only from `failed`, else 409. With `If-Match` only if nothing has changed since, else 412.
        """
        return _next_attempt(appointment_id, body)


@blueprint.route("/<appointment_id>/resubmit")
class Resubmission(MethodView):
    """Another attempt, with nothing changed."""

    @requires("write")
    @blueprint.doc(operationId="resubmitAppointment")
    @blueprint.takes("If-Match", "Prefer")
    @blueprint.response(HTTPStatus.ACCEPTED, AppointmentOut, headers=headers("Location", "ETag", "Preference-Applied"))
    @blueprint.alt_response(HTTPStatus.PRECONDITION_FAILED)
    def post(self, appointment_id: str) -> Any:  # noqa: ANN401
        """Have a failed appointment tried again.

        As it is, for when the cause was elsewhere. Only from `failed`, else 409. With `If-Match` only if nothing has
        changed since, else 412.
        """
        return _next_attempt(appointment_id, {})


@blueprint.route("/<appointment_id>/timeline")
class Timeline(MethodView):
    """The history of one appointment."""

    @requires("read")
    @blueprint.doc(operationId="getTimeline")
    @blueprint.response(HTTPStatus.OK, TimelineOut)
    def get(self, appointment_id: str) -> Any:  # noqa: ANN401
        """Read everything that happened to an appointment.

        In order, with what caused it: why is it in this state?
        """
        with reading() as session:
            history = get_history(session, appointment_id)
            record_read(driver(session), [appointment_id])
        return timeline(history, unmasked=sees_phi())


def _answer_one(appointment_id: str, *, may_wait: bool) -> Response:
    """Answer an appointment as it is; or, for a caller that waits, when it is no longer what that caller knows."""
    with reading_once() as connection:
        row = appointment_views.get_appointment(connection, appointment_id)
        answer = answer_unless_known(_shown(row))
        has_changed = bool(request.if_none_match) and answer.status_code == HTTPStatus.OK
        if may_wait and not has_changed:
            return answer_later(
                NewVersion(row.id, row.version), then=partial(_answer_one, appointment_id, may_wait=False)
            )
        record_read(connection, [row.id])
    return answer


def _next_attempt(appointment_id: str, changes: dict[str, Any]) -> Any:  # noqa: ANN401
    wanted = CorrectionRequest(
        appointment_id=appointment_id,
        changes=changes,
        key_id=caller().key_id,
        request_id=request_id(),
        is_lenient=is_lenient(),
    )

    def work(session: Session) -> WriteAnswer:
        row = correct(session, settings(), wanted, check=check_fields, agree=_agree)
        record_confirmed(session, row, changes)
        return _taken(row)

    return _written(work)


def _written(work: Callable[[Session], WriteAnswer]) -> Response:
    """Do a write once, and answer it; for a caller that waits, when the appointment has an outcome."""
    answer = say_lenient(answer_once(work))
    if not would_wait():
        return answer
    appointment_id = answer.get_json()["id"]
    return answer_later(Outcome(appointment_id), then=partial(_answer_written, answer, appointment_id))


def _answer_written(written: Response, appointment_id: str) -> Response:
    """Answer a write with what has become of it by now.

    Its record of what is shown was committed with it: of this request, and of this appointment. So a caller that may
    write and not read is answered too, and each write is recorded once.

    Args:
        written: What the write was answered. It is done, so this is the answer when the outcome cannot be read.
    """
    try:
        with autocommit(engine()) as connection:
            row = appointment_views.get_appointment(connection, appointment_id)
    except Exception as error:
        logger.warning("outcome of a write cannot be read: it is answered as done", exc_info=error)
        return written
    kept = {name: written.headers[name] for name in KEPT if name in written.headers}
    return say_lenient(appointment_answer(_shown(row), HTTPStatus.ACCEPTED, kept))


def _agree(row: Appointment) -> None:
    refuse_if_changed(_shown(row))


def _taken(row: Appointment) -> WriteAnswer:
    location = url_for("appointments.OneAppointment", appointment_id=row.id)
    return WriteAnswer(HTTPStatus.ACCEPTED, _shown(row), {"Location": location})


def _shown(row: Appointment | AppointmentRow) -> dict[str, Any]:
    return representation.appointment(row, unmasked=sees_phi(), overdue_before=overdue_before())
