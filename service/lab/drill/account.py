"""The account of a drill: where every appointment is, and what must never have happened; records in, counts out."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from service.lab.drill.callers import Taken
from service.lab.drill.evidence import Cobalts, Ours, Row

SLOWEST_ANSWER = 2.0  # seconds; what Cobalt's retry waits
UNCONFIRMED = "submission_unconfirmed"
# The sandbox's outcome -> our category of the failure.
CATEGORIES = {
    "visit type not available": "visit_type_unavailable",
    "provider not found": "provider_not_found",
    "schedule block": "schedule_block",
    "appointment conflict": "appointment_conflict",
}

LOST = "lost"
DOUBLED = "doubled in Cobalt"
DOUBLED_HERE = "doubled here"
WRONG = "wrong state"
UNRECORDED = "2xx without a record"
TWICE = "applied more than once"
OVERLOOKED = "overlooked events"
QUARANTINED = "quarantined"
DAMAGED = "damaged in a spool"
SLOW = "answers over 2 s"
PLACES = ("created", "failed", "processing", "waiting for a person")
ZEROS = (LOST, DOUBLED, DOUBLED_HERE, WRONG, UNRECORDED, TWICE, OVERLOOKED, QUARANTINED, DAMAGED, SLOW)


@dataclass
class Account:
    """What became of everything.

    Attributes:
        submitted: requests that were answered 202.
        places: where they are: created, failed, processing, waiting for a person.
        defects: what must be 0 -> each case of it, in words.
        noted: counts that tell how the service came through, whatever they are.
    """

    submitted: int = 0
    places: Counter[str] = field(default_factory=Counter)
    defects: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in ZEROS})
    noted: dict[str, float] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every appointment was found."""
        return self.submitted == self.places.total()

    @property
    def is_clean(self) -> bool:
        """Whether every appointment was found, and nothing happened that must not."""
        return self.is_complete and not any(self.defects.values())


def draw_up(taken: Sequence[Taken], ours: Ours, cobalts: Cobalts) -> Account:
    """Compare what the service has on record with what really happened."""
    account = Account(submitted=len(taken))
    _find_appointments(account, taken, ours, cobalts)
    account.defects[UNRECORDED] += _unrecorded(ours, cobalts)
    account.defects[TWICE] += _applied_twice(ours, cobalts)
    account.defects[OVERLOOKED] += _overlooked(ours)
    account.defects[QUARANTINED] += [f"{row['reason']}: {bytes(row['raw'])[:100]!r}" for row in ours.quarantine]
    account.defects[DAMAGED] += ["set aside, see the web instances' logs"] * ours.damaged
    account.defects[SLOW] += [
        f"event {one['event_id']}, try {one['attempt']}: {one['status'] or one['error']} after {one['seconds']:.2f} s"
        for one in cobalts.deliveries
        if one["seconds"] > SLOWEST_ANSWER
    ]
    account.noted = _noted(ours, cobalts)
    return account


def _find_appointments(account: Account, taken: Sequence[Taken], ours: Ours, cobalts: Cobalts) -> None:
    rows = {row["id"]: row for row in ours.appointments}
    booked: dict[str, list[Row]] = defaultdict(list)
    for one in cobalts.appointments:
        if one["source"] == "cobalt_operation":
            booked[one["request"]["mrn"]].append(one)
    told = _told(ours, cobalts)
    for request in taken:
        row = rows.get(request.id)
        if row is None:
            account.defects[LOST].append(f"{request.mrn} {request.id}: answered 202 and not there")
            continue
        place = _place(row)
        account.places[place] += 1
        bookings = booked[request.mrn]
        name, problem = _judge(row, place, bookings, any(one["id"] in told for one in bookings))
        if name:
            account.defects[name].append(f"{request.mrn} {request.id}: {problem}")
    account.defects[DOUBLED] += [
        f"{mrn}: booked {len(bookings)} times: {', '.join(one['id'] for one in bookings)}"
        for mrn, bookings in booked.items()
        if len(bookings) > 1
    ]
    requests = Counter(row["mrn"] for row in ours.appointments)
    account.defects[DOUBLED_HERE] += [f"{mrn}: {count} appointments" for mrn, count in requests.items() if count > 1]


def _place(row: Row) -> str:
    """Where a row stands; what only a person can decide is no failure that Cobalt told us of."""
    if row["failure_category"] == UNCONFIRMED or (row["status"], row["submission"]) == ("processing", "unconfirmed"):
        return "waiting for a person"
    return str(row["status"])


def _judge(row: Row, place: str, bookings: Sequence[Row], was_told: bool) -> tuple[str, str]:  # noqa: FBT001
    """What is wrong with a row, if anything: the name of the defect, and the case in words."""
    here = f"{row['status']} ({row['submission']}, {row['failure_category'] or row['last_error'] or 'no error'})"
    at_cobalt = ", ".join(f"{one['id']} {one['state']} ({one['outcome']})" for one in bookings) or "nothing"
    both = f"here {here}, at Cobalt {at_cobalt}"
    if place == "processing":
        return LOST, both
    if place == "waiting for a person":
        # Rightly so only if nothing could be known: no booking, or a failure whose event never reached us. The
        # list does not show failures, and without a reply there is no job to ask for.
        known = was_told or any(one["state"] == "scheduled" for one in bookings)
        return (LOST, both) if known else ("", "")
    for one in bookings:
        if one["id"] == row["cobalt_appointment_id"] and _agree(row, one):
            return "", ""
    return WRONG, f"{both}, known here as {row['cobalt_appointment_id']}"


def _agree(row: Row, booking: Row) -> bool:
    if row["status"] == "created":
        return bool(booking["state"] == "scheduled")
    return bool(booking["state"] == "failed" and row["failure_category"] == CATEGORIES.get(booking["outcome"], ""))


def _told(ours: Ours, cobalts: Cobalts) -> set[str]:
    """Cobalt's ids of the appointments about which an event reached us."""
    recorded = {event["id"] for event in ours.events}
    return {about for event_id, about, _ in _events(cobalts) if event_id in recorded}


def _events(cobalts: Cobalts) -> Iterator[tuple[str, str, str]]:
    """Of each event its id, Cobalt's id of the appointment, and its type."""
    for one in cobalts.events:
        event = one["event"]
        yield event["id"], event["data"]["appointment_id"], event["type"]


def _unrecorded(ours: Ours, cobalts: Cobalts) -> list[str]:
    """Each 2xx has to have its own record: that asking later brought the event does not make up for one."""
    answered = Counter(one["event_id"] for one in cobalts.deliveries if _is_2xx(one))
    recorded = ours.quarantined_ids
    recorded.update(row["event_id"] for row in ours.deliveries if row["source"] in {"webhook", "spool"})
    known = {event["id"] for event in ours.events} | set(recorded)
    return [
        f"event {event_id}: answered 2xx {count} times, recorded {recorded[event_id]} times"
        + ("" if event_id in known else ", unknown here")
        for event_id, count in answered.items()
        if recorded[event_id] < count
    ]


def _applied_twice(ours: Ours, cobalts: Cobalts) -> list[str]:
    effective = Counter(row["event_id"] for row in ours.deliveries if row["disposition"] != "duplicate")
    cases = [
        f"event {event_id}: {count} deliveries that were no duplicates"
        for event_id, count in effective.items()
        if count > 1
    ]
    failures = Counter(about for _, about, kind in _events(cobalts) if kind == "appointment.failed")
    return cases + [
        f"{row['id']}: {row['failures']} failures counted, Cobalt told of {failures[row['cobalt_appointment_id']]}"
        for row in ours.appointments
        if row["failures"] > failures[row["cobalt_appointment_id"]]
    ]


def _overlooked(ours: Ours) -> list[str]:
    """Events that waited for an appointment that was known already: of two that raced, neither saw the other."""
    known = {row["cobalt_appointment_id"]: row["id"] for row in ours.appointments}
    cases = [
        f"event {event['id']} waits for {about}, which is {known[about]}"
        for event in ours.events
        if event["disposition"] == "unmatched" and (about := event["cobalt_appointment_id"]) in known
    ]
    return cases + ["found by a sweep, see the workers' logs"] * ours.swept


def _noted(ours: Ours, cobalts: Cobalts) -> dict[str, float]:
    tried = {one["event_id"] for one in cobalts.deliveries}
    taken = {one["event_id"] for one in cobalts.deliveries if _is_2xx(one)}
    by_poll = {event["id"] for event in ours.events if event["source"] == "poll"}
    dispositions = Counter(row["disposition"] for row in ours.deliveries)
    return {
        "events at Cobalt": len(cobalts.events),
        "webhooks sent": len(cobalts.deliveries),
        "webhooks: second tries": sum(one["attempt"] > 1 for one in cobalts.deliveries),
        "webhooks: slowest answer, s": round(max((one["seconds"] for one in cobalts.deliveries), default=0), 2),
        "webhooks: answered 503": sum(one["status"] == 503 for one in cobalts.deliveries),  # noqa: PLR2004
        "webhooks: no answer": sum(one["status"] is None for one in cobalts.deliveries),
        "events refused on both tries": len(tried - taken),
        "events refused on both tries, learned by asking": len((tried - taken) & by_poll),
        "events never sent": sum(one["lost"] for one in cobalts.events),
        "events spooled": sum(row["source"] == "spool" for row in ours.deliveries),
        "events duplicate": dispositions["duplicate"],
        "events unmatched, of staff's": sum(event["disposition"] == "unmatched" for event in ours.events),
        "outcomes learned by asking": sum(row["learned_by"] == "poll" for row in ours.appointments),
        "appointments adopted": sum(_is_adopted(row) for row in ours.appointments),
        "appointments at Cobalt": cobalts.stats["booked"],
        **{f"sandbox: {name}": count for name, count in cobalts.stats.items() if name in _SANDBOX},
    }


_SANDBOX = ("errors_429", "errors_500", "replies_lost", "webhooks_before_reply", "lists", "event_queries")


def _is_2xx(delivery: Mapping[str, int | None]) -> bool:
    return delivery["status"] is not None and delivery["status"] // 100 == 2  # noqa: PLR2004


def _is_adopted(row: Row) -> bool:
    """No reply ever named Cobalt's id, and it is known all the same."""
    return row["cobalt_appointment_id"] is not None and row["last_call"] in {None, "unclear", "lost"}
