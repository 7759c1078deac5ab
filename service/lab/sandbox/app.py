"""The sandbox put together, and Cobalt's calls about appointments under `/v1`."""

import socket
from collections.abc import Callable

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException

from service.lab.sandbox.appointments import Appointment
from service.lab.sandbox.bookings import Bookings
from service.lab.sandbox.catalogue import catalogue
from service.lab.sandbox.control import control
from service.lab.sandbox.faults import Chance, Faults
from service.lab.sandbox.fields import RefusedError, read_date
from service.lab.sandbox.registrations import registrations
from service.lab.sandbox.replies import ERROR_SHAPE, authenticate_account, read_body, reply, reply_failed
from service.lab.sandbox.rows import page_of
from service.lab.sandbox.settings import Settings
from service.lab.sandbox.timers import Timers
from service.lab.sandbox.webhooks import Webhooks

# A receiver that hangs holds one for 5 s; Cobalt would go on sending others meanwhile, and so must this.
SENDERS = 64
LARGEST_BODY = 1024 * 1024
PROCESSING = "Appointment processing. A webhook event will be sent upon completion."


def create_app(settings: Settings, faults: Faults, seed: str) -> Flask:
    """One sandbox with its threads: call it in the process that serves it."""
    timers = Timers(SENDERS)
    chance = Chance(seed, faults)
    webhooks = Webhooks(timers, settings.webhook_secret, settings.webhook_urls)
    bookings = Bookings(settings, chance, timers, webhooks)

    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.config[ERROR_SHAPE] = settings.error_shape
    app.register_error_handler(RefusedError, _refused)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_blueprint(_appointments(settings, chance, bookings, webhooks), url_prefix="/v1")
    app.register_blueprint(catalogue(settings, bookings.refusals), url_prefix="/v1")
    app.register_blueprint(registrations(settings, webhooks), url_prefix="/v1")
    app.register_blueprint(control(chance, bookings, webhooks), url_prefix="/_sandbox")
    return app


def created_reply(shape: str, appointment: Appointment) -> dict[str, object]:
    """The reply to a create, in one of the documented shapes."""
    one = appointment.id
    match shape:
        case "message-beside":
            return {"success": True, "message": PROCESSING, "data": {"appointment_id": one}}
        case "top-level":
            return {
                "success": True,
                "message": PROCESSING,
                "appointment_id": one,
                "job_id": appointment.job_id,
            }
        case "under-data":
            ids = {"appointment_id": one, "job_id": appointment.job_id}
            return {"success": True, "message": PROCESSING, "data": ids}
        case _:
            return {"success": True, "data": {"appointment_id": one, "message": PROCESSING}}


def _appointments(settings: Settings, chance: Chance, bookings: Bookings, webhooks: Webhooks) -> Blueprint:
    views = Blueprint("appointments", __name__)

    @views.post("/appointments")
    def create_appointment() -> Response:
        account = authenticate_account(settings, bookings.refusals)

        def work() -> Response:
            made = bookings.create(account, read_body())
            bookings.count("booked")
            return reply(created_reply(settings.reply_shape, made))

        return _with_faults("creates", chance, bookings, work)

    @views.patch("/appointments/<appointment_id>")
    def update_appointment(appointment_id: str) -> Response:
        account = authenticate_account(settings, bookings.refusals)

        def work() -> Response:
            bookings.correct(account, appointment_id, read_body())
            bookings.count("corrected")
            return reply({"success": True, "message": "Appointment updated successfully"})

        return _with_faults("corrections", chance, bookings, work)

    @views.get("/appointments")
    def list_appointments() -> Response:
        account = authenticate_account(settings, bookings.refusals)
        bookings.count("lists")
        first, last = (read_date(name, request.args.get(name, "")) for name in ("start_date", "end_date"))
        found = bookings.listed(account, first, last, request.args.get("patient_mrn"))
        return reply({"success": True, "appointments": found})

    @views.get("/webhook-events")
    def list_webhook_events() -> Response:
        account = authenticate_account(settings, bookings.refusals)
        query = bookings.count("event_queries")
        if not request.args.get("job_id"):
            bookings.count("event_pages")
            if request.args.get("page", "1") == "1":
                bookings.count("event_walks")
        if chance.strikes("events_unavailable", query):
            bookings.count("events_refused")
            return reply_failed(503, "Service unavailable")
        events = bookings.events_of(account, request.args.get("job_id"))
        return reply(page_of(events, request.args, webhooks.tries, settings))

    return views


def _with_faults(kind: str, chance: Chance, bookings: Bookings, work: Callable[[], Response]) -> Response:
    """Answer a call that changes something, unless a fault has it otherwise."""
    call = (kind, bookings.count(kind))
    if chance.strikes("error_429", *call):
        bookings.count("errors_429")
        refusal = reply_failed(429, "Too many requests")
        refusal.headers["Retry-After"] = "1"
        return refusal
    broken = chance.strikes("error_500", *call)
    if broken:
        bookings.count("errors_500")
    if broken and chance.draw("error_500_first", *call) < 0.5:  # noqa: PLR2004 - one half
        return reply_failed(500, "Internal server error")
    answer = work()
    if broken:
        return reply_failed(500, "Internal server error")
    if chance.strikes("lose_reply", *call):
        bookings.count("replies_lost")
        # The server finds the connection gone when it writes, and lets it be.
        request.environ["gunicorn.socket"].shutdown(socket.SHUT_RDWR)
    return answer


def _refused(refusal: RefusedError) -> Response:
    answer = reply_failed(refusal.status, refusal.message)
    if refusal.retry_after is not None:
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


def _http_problem(problem: HTTPException) -> Response:
    return reply_failed(problem.code or 500, problem.name)
