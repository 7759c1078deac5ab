"""What Cobalt does with appointments: books, corrects, lists, and after a while settles them."""

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial

from service.lab.sandbox.appointments import Appointment, created_data, list_entry, synced_data
from service.lab.sandbox.events import Event, iso, new_event
from service.lab.sandbox.faults import Chance
from service.lab.sandbox.fields import RefusedError, check, corrected, read_attributes
from service.lab.sandbox.outcomes import CREATED, failure_data, outcome_of
from service.lab.sandbox.refusals import Refusals
from service.lab.sandbox.settings import TIMEZONE, Settings
from service.lab.sandbox.timers import Timers
from service.lab.sandbox.webhooks import Webhooks

STAFF_MADE = {
    "mrn": "STAFF-1",
    "location": "Front Desk",
    "time": "9:00 am",
    "provider": "Dr. Staff",
    "type": "Walk-in",
}


class Bookings:
    """Every appointment and event of this sandbox.

    Attributes:
        refusals: accounts that are refused for a time.
        unsettled: appointments whose event has not been handed to the webhooks yet.
    """

    def __init__(self, settings: Settings, chance: Chance, timers: Timers, webhooks: Webhooks) -> None:
        self.appointments: dict[str, Appointment] = {}
        self.events: dict[str, Event] = {}
        self.counts: Counter[str] = Counter()
        self.unsettled = 0
        self.refusals = Refusals()
        self._settings = settings
        self._chance = chance
        self._timers = timers
        self._webhooks = webhooks
        self._lock = threading.Lock()
        self._serials = itertools.count(1)
        # From the clock, so that a restarted sandbox does not repeat the ids of the last one.
        self._first_id = time.time_ns() // 1_000_000
        self._events_by_job: dict[str, list[Event]] = defaultdict(list)

    def create(self, account: str, body: object) -> Appointment:
        """Take an appointment on and set a robot to it.

        Raises:
            RefusedError: 400.
        """
        fields = read_attributes(body)
        starts_at = check(fields, strict_time=self._settings.strict_time)
        made = self._book(account, fields, starts_at)
        if self._chance.strikes("webhook_before_reply", made.serial):
            self.count("webhooks_before_reply")
            self._settle(made, 1, self._webhooks.send_now)
        else:
            self._timers.after(self._chance.delay(made.serial), partial(self._settle, made, 1))
        if self._chance.strikes("foreign_events", made.serial):
            after = self._chance.delay("foreign", made.serial)
            self._timers.after(after, partial(self._book_by_staff, account))
        return made

    def correct(self, account: str, appointment_id: str, body: object) -> None:
        """Apply a PATCH.

        Any attribute of a pending or failed appointment may change, and Cobalt tries again; of a
        scheduled one only `status` and `note`.

        Raises:
            RefusedError: 400, or 404 for an id that is not the account's.
        """
        changes = read_attributes(body)
        with self._lock:  # a robot may be about to schedule it
            one = self.appointments.get(appointment_id)
            if one is None or one.account != account:
                raise RefusedError(404, "Appointment not found")
            if one.state == "scheduled":
                _annotate(one, changes, body)
                return
            if not changes:
                raise RefusedError(400, "Nothing to update")
            fields = corrected(one.fields, changes)
            one.starts_at = check(fields, strict_time=self._settings.strict_time)
            one.fields = fields
            one.state, one.outcome = "pending", None
            one.tries += 1
            tries = one.tries
            self.unsettled += 1
        self._timers.after(self._chance.delay(one.serial, tries), partial(self._settle, one, tries))

    def listed(self, account: str, first: date, last: date, mrn: str | None) -> list[dict[str, object]]:
        """What `GET /appointments` shows: the EHR's calendar on these days of the clinic.

        Pending and failed appointments are in no calendar, so they are not listed; those that staff
        made are, with another source.
        """
        with self._lock:
            candidates = list(self.appointments.values())
        return [
            list_entry(one)
            for one in candidates
            if one.account == account
            and one.state == "scheduled"
            and first <= one.starts_at.date() <= last
            and mrn in {None, one.fields["mrn"]}
        ]

    def events_of(self, account: str, job_id: str | None) -> list[Event]:
        """The account's events, oldest first: of one operation, which has none until it has ended, or all."""
        with self._lock:
            events = self._events_by_job.get(job_id, []) if job_id else self.events.values()
            return [event for event in events if event.account == account]

    def tell(self, account: str, kind: str, data: Mapping[str, object]) -> Event:
        """Send an event that is about the account itself; it can be asked for later too."""
        event = new_event(
            account=account,
            kind=kind,
            data=data,
            job_id=None,
            created=iso(datetime.now(UTC), self._settings.event_clock),
            later=self._settings.webhook_shape == "later",
            lost=False,
        )
        with self._lock:
            self.events[event.id] = event
        self._webhooks.send(event)
        return event

    def count(self, what: str) -> int:
        """Add one to a count that `/_sandbox/stats` shows, and return it."""
        with self._lock:
            self.counts[what] += 1
            return self.counts[what]

    def _book(
        self, account: str, fields: dict[str, str], starts_at: datetime, source: str = "cobalt_operation"
    ) -> Appointment:
        with self._lock:
            serial = next(self._serials)
            made = Appointment(
                serial=serial,
                id=str(self._first_id + serial),
                job_id=serial,
                account=account,
                fields=fields,
                starts_at=starts_at,
                created_at=datetime.now(UTC),
                source=source,
            )
            self.appointments[made.id] = made
            self.unsettled += 1
        return made

    def _book_by_staff(self, account: str) -> None:
        tomorrow = datetime.now(TIMEZONE) + timedelta(days=1)
        starts_at = tomorrow.replace(hour=9, minute=0, second=0, microsecond=0)
        fields = {**STAFF_MADE, "date": starts_at.date().isoformat()}
        self.count("foreign_events")
        self._settle(self._book(account, fields, starts_at, source="ehr"), 1)

    def _settle(self, appointment: Appointment, tries: int, send: Callable[[Event], None] | None = None) -> None:
        """The robot is done: the outcome is known, and an event tells it unless a fault keeps it back."""
        about = (appointment.serial, tries)
        with self._lock:
            if tries != appointment.tries:
                self.unsettled -= 1
                return
            event = self._event(appointment, lost=self._chance.strikes("lose_webhook", *about))
            self.events[event.id] = event
            if event.job_id is not None:
                self._events_by_job[str(event.job_id)].append(event)
        if event.lost:
            self.count("webhooks_lost")
        elif send:
            send(event)
        else:
            self._dispatch(event, about)
        with self._lock:
            self.unsettled -= 1

    def _event(self, appointment: Appointment, *, lost: bool) -> Event:
        """Settle the appointment and say so."""
        later = self._settings.webhook_shape == "later"
        outcome = outcome_of(appointment.fields)
        appointment.outcome = outcome.name
        if outcome is CREATED:
            appointment.state, kind = "scheduled", "appointment.created"
            synced = appointment.source == "ehr" and self._settings.staff_shape == "sync"
            data = synced_data(appointment) if synced else created_data(appointment, later=later)
        else:
            appointment.state, kind = "failed", "appointment.failed"
            data = failure_data(outcome, appointment.id, appointment.fields, later=later)
        return new_event(
            account=appointment.account,
            kind=kind,
            data=data,
            job_id=None if appointment.source == "ehr" else appointment.job_id,
            created=iso(datetime.now(UTC), self._settings.event_clock),
            later=later,
            lost=lost,
        )

    def _dispatch(self, event: Event, about: tuple[int, int]) -> None:
        held = 0.0
        if self._chance.strikes("reorder_webhook", *about):
            # Longer than the longest ordinary delay, so that later events do overtake it.
            held = 0.5 + 2 * self._chance.faults.delay
            self.count("webhooks_reordered")
        self._webhooks.send(event, after=held)
        if self._chance.strikes("duplicate_webhook", *about):
            self.count("webhooks_duplicated")
            self._webhooks.send(event, after=held + self._chance.draw("duplicate_after", *about))


def _annotate(appointment: Appointment, changes: dict[str, str], body: object) -> None:
    """What a PATCH may still do to a scheduled appointment: `status` and `note`."""
    status = body.get("status") if isinstance(body, dict) else None
    if set(changes) - {"note"}:
        raise RefusedError(400, "Only status and note of a scheduled appointment can be updated")
    if status is not None and not (isinstance(status, str) and status):
        raise RefusedError(400, "status must be a string")
    if not changes and status is None:
        raise RefusedError(400, "Nothing to update")
    appointment.fields = {**appointment.fields, **changes}
    appointment.status = status or appointment.status
