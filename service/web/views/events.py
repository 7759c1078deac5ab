"""Events over HTTP, for those who look for trouble."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from service.domain.masking import Known, know, know_named, mask_mrn
from service.postgres.engine import driver
from service.postgres.queries import event_views
from service.web.openapi.arguments import Blueprint
from service.web.openapi.parts import headers
from service.web.policy.auth import requires, sees_phi
from service.web.policy.context import reading
from service.web.policy.reads import record_read
from service.web.schemas.events import EventListOut, EventsQuery
from service.web.views.paging import asked_of, next_page
from service.web.views.representation import hidden, time_text
from service.web.views.timeline import event_data, event_type

if TYPE_CHECKING:
    from service.postgres.models import Appointment, Event

blueprint = Blueprint("events", __name__, url_prefix="/v1/events", description="What Cobalt said")


@blueprint.route("")
class EventList(MethodView):
    """All events."""

    @requires("ops")
    @blueprint.doc(operationId="listEvents")
    @blueprint.arguments(EventsQuery, location="query")
    @blueprint.response(HTTPStatus.OK, EventListOut, headers=headers("Link"))
    def get(self, query: dict[str, Any]) -> Any:  # noqa: ANN401
        """List events, with what became of each.

        Newest first, by when they were received. Those that are `unmatched` say how long they have waited.
        """
        asked = asked_of(EventsQuery(), query)
        filters = {name: asked.query[name] for name in event_views.FILTERS if name in asked.query}
        with reading() as session:
            found = event_views.list_events(session, filters=filters, after=asked.place, limit=query["limit"])
            ids = (one for event, row in found.rows for one in (event.id, row and row.id) if one)
            record_read(driver(session), ids, filters=filters)
        now = datetime.now(UTC)
        shown = [_shown(event, row, now, unmasked=sees_phi()) for event, row in found.rows]
        cursor, link = next_page(asked, found.last)
        return {"data": shown, "next_cursor": cursor}, HTTPStatus.OK, link


def _shown(event: Event, row: Appointment | None, now: datetime, *, unmasked: bool) -> dict[str, Any]:
    known = None if unmasked else _hidden(event, row)
    return {
        "object": "event",
        "id": event.id,
        "type": event_type(event, known),
        "disposition": event.disposition,
        "source": event.source,
        "account_reference": event.account_reference,
        "waits_for": _waits_for(event),
        "repeats": event.repeats,
        "cobalt_appointment_id": event.cobalt_appointment_id,
        "appointment_id": event.appointment_id,
        "mrn": event.mrn and (event.mrn if unmasked else mask_mrn(event.mrn)),
        "occurred_at": time_text(event.occurred_at),
        "received_at": time_text(event.received_at),
        "age_seconds": int((now - event.received_at).total_seconds()) if event.disposition == "unmatched" else None,
        "data": event_data(event, known),
    }


def _waits_for(event: Event) -> str | None:
    if event.disposition != "unmatched":
        return None
    if event.of_another_account:
        return "account"
    return "attempt" if event.appointment_id else "appointment"


def _hidden(event: Event, row: Appointment | None) -> Known:
    known = know([event.mrn] if event.mrn else []).joined(know_named(event.payload))
    return known.joined(hidden(row)) if row else known
