"""`/_sandbox/`: what a test may see and change. No keys, and only from the same machine."""

from collections import Counter
from dataclasses import asdict
from ipaddress import ip_address

from flask import Blueprint, Response, request

from service.lab.sandbox.bookings import Bookings
from service.lab.sandbox.events import iso
from service.lab.sandbox.faults import Chance
from service.lab.sandbox.fields import RefusedError
from service.lab.sandbox.refusals import read_refusal
from service.lab.sandbox.replies import read_body, reply
from service.lab.sandbox.webhooks import Webhooks

COUNTED = (
    "creates",
    "booked",
    "corrections",
    "corrected",
    "lists",
    "event_queries",
    "event_pages",
    "event_walks",
    "events_refused",
    "errors_429",
    "errors_500",
    "replies_lost",
    "webhooks_before_reply",
    "webhooks_lost",
    "webhooks_reordered",
    "webhooks_duplicated",
    "foreign_events",
)


ABOUT_ACCOUNT: dict[str, object] = {
    "emr_instance_domain": "clinic.example.com",
    "message": "Log in to your EHR account again.",
}
"""What an event about an account says [P]."""


def control(chance: Chance, bookings: Bookings, webhooks: Webhooks) -> Blueprint:
    """The views."""
    views = Blueprint("control", __name__)

    @views.before_request
    def from_here_only() -> None:
        if not ip_address(request.remote_addr or "0.0.0.0").is_loopback:  # noqa: S104 - not an address to bind
            raise RefusedError(403, "Only from the same machine")

    _add_records(views, bookings, webhooks)
    _add_switches(views, chance, bookings, webhooks)
    _add_accounts(views, bookings)
    return views


def _add_records(views: Blueprint, bookings: Bookings, webhooks: Webhooks) -> None:
    @views.get("/appointments")
    def show_appointments() -> Response:
        """Every appointment at Cobalt, in the order of booking."""
        booked = [
            {
                "id": one.id,
                "job_id": one.job_id,
                "account": one.account,
                "request": one.fields,
                "state": one.state,
                "outcome": one.outcome,
                "tries": one.tries,
                "source": one.source,
                "created_at": iso(one.created_at),
            }
            for one in list(bookings.appointments.values())
        ]
        return reply({"appointments": booked})

    @views.get("/events")
    def show_events() -> Response:
        """Every event, whole, in the order they happened."""
        events = list(bookings.events.values())
        return reply({"events": [{"lost": event.lost, "event": event.content} for event in events]})

    @views.get("/deliveries")
    def show_deliveries() -> Response:
        """Every try to hand over an event, in the order the tries ended."""
        made = list(webhooks.deliveries)
        return reply({"deliveries": [{**asdict(delivery), "at": iso(delivery.at)} for delivery in made]})

    @views.get("/stats")
    def show_stats() -> Response:
        """Counts since the start. Nothing is on its way when both `pending_` counts are 0."""
        states = Counter(one.state for one in list(bookings.appointments.values()))
        return reply(
            {
                **dict.fromkeys(COUNTED, 0),
                **bookings.counts,
                "scheduled": states["scheduled"],
                "failed": states["failed"],
                "events": len(bookings.events),
                "deliveries": len(webhooks.deliveries),
                "pending_appointments": bookings.unsettled,
                "pending_webhooks": webhooks.pending,
            }
        )


def _add_switches(views: Blueprint, chance: Chance, bookings: Bookings, webhooks: Webhooks) -> None:
    @views.get("/faults")
    def show_faults() -> Response:
        """The rates and the delay."""
        return reply(asdict(chance.faults))

    @views.put("/faults")
    def change_faults() -> Response:
        """Change some of the rates, or the delay; the others stay."""
        body = read_body()
        if not isinstance(body, dict):
            raise RefusedError(400, "The request body must be a JSON object")
        try:
            chance.faults = chance.faults.changed(body)
        except ValueError as problem:
            raise RefusedError(400, str(problem)) from None
        return show_faults()

    @views.post("/redeliver")
    def redeliver() -> Response:
        """Send all events again, or those in `{"event_ids": [...]}`, lost ones too."""
        body = read_body() if request.get_data() else {}
        wanted = body.get("event_ids") if isinstance(body, dict) else None
        if not isinstance(wanted, list | None):
            raise RefusedError(400, "event_ids must be a list")
        events = [one for one in list(bookings.events.values()) if wanted is None or one.id in wanted]
        for event in events:
            webhooks.send(event)
        return reply({"redelivered": len(events)})


def _add_accounts(views: Blueprint, bookings: Bookings) -> None:
    @views.put("/refused")
    def refuse_accounts() -> Response:
        """Refuse the calls of the accounts in `{"accounts": [...]}`, and of no others.

        With 403 and `login_required` until they are changed again; or with `status` (401, 403, 429, 500, 503), a
        `plain` 403, for some `seconds`, and with `Retry-After` after `retry_after`.
        """
        body = read_body()
        accounts = body.get("accounts") if isinstance(body, dict) else None
        if not isinstance(accounts, list):
            raise RefusedError(400, "accounts must be a list")
        return reply({"accounts": bookings.refusals.replace(map(str, accounts), read_refusal(body))})

    @views.get("/refused")
    def show_refused() -> Response:
        """How many calls of each account were refused since the start."""
        return reply({"refused": dict(bookings.refusals.counts)})

    @views.post("/account-events")
    def tell_of_account() -> Response:
        """Send an event about an account: `{"account", "type", "data"}`."""
        body = read_body()
        account, kind, data = (
            body.get(name) if isinstance(body, dict) else None for name in ("account", "type", "data")
        )
        if not isinstance(account, str) or not isinstance(kind, str) or not isinstance(data, dict | None):
            raise RefusedError(400, "account and type must be texts, and data an object")
        return reply({"event_id": bookings.tell(account, kind, ABOUT_ACCOUNT | (data or {})).id})
