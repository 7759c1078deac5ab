"""The timeline of an appointment: everything that happened to it, in order, in words for who opens it first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.domain.account_health import why_held
from service.domain.events import KINDS, Kind
from service.domain.masking import know, know_named, mask_json, mask_text
from service.domain.submission import CallOutcome, Submission
from service.web.views.representation import FREE_TEXT, masked_request, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from service.domain.account_health import Standing
    from service.domain.masking import Known
    from service.postgres.models import Appointment, Call, Correction, Decision, Delivery, Event
    from service.postgres.queries.history import History

Entry = dict[str, Any]

CALLS: dict[str | None, str] = {
    None: "The call to Cobalt is under way.",
    CallOutcome.ACCEPTED: "Cobalt took the request.",
    CallOutcome.ACCEPTED_LATE: "Cobalt took the request, and said so when the appointment had moved on: it may be "
    "booked twice.",
    CallOutcome.NEVER_LEFT: "The request did not reach Cobalt; it is sent again.",
    CallOutcome.THROTTLED: "Cobalt was too busy and took nothing; the request is sent again.",
    CallOutcome.UNAUTHORIZED: "Cobalt refused the account's credentials and took nothing; the request is sent again.",
    CallOutcome.REJECTED: "Cobalt refused the request.",
    CallOutcome.UNCLEAR: "Cobalt's answer was lost or cannot be read: nobody knows whether it took the request.",
    CallOutcome.LOST: "The worker was lost during the call: nobody knows whether Cobalt took the request.",
}
SAID = {Kind.CREATED: "Cobalt said that it is booked", Kind.FAILED: "Cobalt said that it failed"}
BECAME = {
    "applied": "the status rested on that",
    "superseded": "another word of Cobalt's decides",
    "unmatched": "it waited until it was known what it belongs to",
    "ignored": "that settles nothing",
    "duplicate": "that was recorded already",
    "quarantined": "that is in quarantine",
}
DECIDED = {
    ("adopted", "worker"): "The only appointment at Cobalt that fits was taken for this one.",
    ("adopted", "person"): "A person said which appointment at Cobalt this is.",
    ("abandoned", "person"): "A person said that Cobalt will say no more of it.",
    ("reassigned", "worker"): "Cobalt told no other outcome: a failure that came since, though it is dated before this "
    "attempt, was taken for its own.",
    ("dismissed", "person"): "A person said that an event of another account is not about this appointment.",
    ("gave_up", "worker"): "Cobalt's answer stayed lost and nothing at Cobalt fits: it failed as unconfirmed.",
}


def timeline(history: History, *, unmasked: bool) -> dict[str, Any]:
    """Show everything that happened to an appointment, in order, and why it is in its state.

    Args:
        history: What is known of it.
        unmasked: Whether the caller sees patients' data.
    """
    known = None if unmasked else _hidden(history)
    events = {event.id: event for event in history.events}
    row = history.appointment
    ours = [
        (1, 0, 0, {"at": row.created_at, "kind": "requested", "source": "person", "attempt": 1, "details": {},
                   "summary": "A caller asked for the appointment."}),
        *((one.attempt, 0, 0, _correction(one, known)) for one in history.corrections),
        *((one.attempt, 1, one.try_, _submission(one, known)) for one in history.submissions),
        *((one.attempt, 2, one.id, _decision(one, known)) for one in history.decisions),
    ]  # fmt: skip
    delivered = {one.event_id for one in history.deliveries}
    cobalts = [
        *(_delivery(one, events[one.event_id], known) for one in history.deliveries),
        *(_event(one, known, at=one.received_at, source=one.source, disposition=one.disposition)
          for one in history.events if one.id not in delivered),
    ]  # fmt: skip
    for entry in cobalts:
        if entry["event_id"] in history.foreign:
            _hide_foreign(entry)
    return {
        "appointment_id": row.id,
        "status": row.status,
        "why": _why_foreign(history) or why(row, history.decisions, history.account) + _early(history),
        "data": [entry | {"at": time_text(entry["at"])} for entry in _in_order(ours, cobalts)],
    }


def _why_foreign(history: History) -> str | None:
    if history.appointment.status != "processing":
        return None
    waiting = [one.id for one in history.events if one.id in history.foreign and one.disposition == "unmatched"]
    if not waiting:
        return None
    return f"Cobalt told its outcome under another account, in event {waiting[0]}: a person has to look whose it is."


def why(row: Appointment, decisions: Iterable[Decision], account: Standing) -> str:
    """Say in one sentence why an appointment is in its state; no patient's data is in it."""
    if row.status == "created":
        conflicts = f" It also said {row.failures} times that it failed: look into the EHR." if row.failures else ""
        return f"Cobalt said in event {row.ruling_event_id} that it is booked.{conflicts}"
    if row.status == "failed":
        return _why_failed(row, [one for one in decisions if one.attempt == row.attempt])
    if row.submission == Submission.QUEUED:
        return why_held(account) or _why_queued(row)
    if row.submission == Submission.ACCEPTED:
        return f"Cobalt took it and has not told the outcome yet; it was asked {row.asks} times."
    if row.submission == Submission.UNCONFIRMED and row.candidates:
        may_be = f"{len(row.candidates)} appointments" if len(row.candidates) > 1 else "an appointment"
        return f"Cobalt's answer was lost, and {may_be} at Cobalt may be the one: a person has to choose."
    return {
        Submission.SENDING: "A call to Cobalt is under way.",
        Submission.UNCONFIRMED: f"Cobalt's answer was lost ({row.last_error}); evidence of what became of it is looked "
        "for.",
    }[Submission(row.submission)]


def _why_queued(row: Appointment) -> str:
    if not row.tries:
        return "It waits for a worker to take it to Cobalt."
    return f"It is sent to Cobalt again from {time_text(row.due_at)} on; try {row.tries} ended in {row.last_error}."


def _early(history: History) -> str:
    """Name a failure that came since the latest call, and does not count because of its date."""
    row = history.appointment
    if row.status != "processing" or row.sent_at is None:
        return ""
    early = [
        event.id
        for event in history.events
        if KINDS.get(event.type) is Kind.FAILED
        and event.disposition == "superseded"
        and event.received_at >= row.sent_at
    ]
    if not early:
        return ""
    return f" A failure that came since, in event {early[-1]}, is dated before this attempt: look into the EHR."


def _why_failed(row: Appointment, decisions: list[Decision]) -> str:
    if row.ruling_event_id:
        return f"Cobalt said in event {row.ruling_event_id} that it failed: {row.failure_category}."
    if row.submission == Submission.REJECTED:
        return f"Cobalt refused the request ({row.last_error})."
    if decisions:
        return DECIDED[decisions[-1].decision, decisions[-1].source]
    return f"It failed by a decision of ours: {row.failure_category}."


def _in_order(ours: list[tuple[int, int, int, Entry]], cobalts: list[Entry]) -> list[Entry]:
    """Order entries by time, but what caused what comes first whatever the clocks of several machines say.

    Args:
        ours: Attempt, rank within it and number within that, for entries of which each follows the one before.
        cobalts: What arrived, in the order of its arrival.
    """
    placed: list[tuple[datetime, int, int, Entry]] = []
    latest: datetime | None = None
    for number, (_, _, _, entry) in enumerate(sorted(ours, key=lambda one: one[:3])):
        latest = max(latest or entry["at"], entry["at"])
        placed.append((latest, 0, number, entry))
    placed += [(entry["at"], 1, number, entry) for number, entry in enumerate(cobalts)]
    return [entry for _, _, _, entry in sorted(placed, key=lambda one: one[:3])]


def _submission(one: Call, known: Known | None) -> Entry:
    seconds = (one.ended_at - one.began_at).total_seconds() if one.ended_at else None
    return {
        "at": one.began_at,
        "kind": "submission",
        "source": "worker",
        "attempt": one.attempt,
        "summary": CALLS[one.outcome],
        "details": {
            "operation": one.operation,
            "try": one.try_,
            "outcome": one.outcome,
            "http_status": one.http_status,
            "cobalt_appointment_id": one.cobalt_appointment_id,
            "error": mask_text(one.error, known) if one.error and known else one.error,
            "ended_at": time_text(one.ended_at),
            "seconds": seconds,
        },
    }


def _correction(one: Correction, known: Known | None) -> Entry:
    failure = one.before["failure"] or {}
    reason = failure.get("reason")
    details: dict[str, Any] = {
        "changes": one.changes if known is None else masked_request(one.changes, known),
        "before": one.before["request"] if known is None else masked_request(one.before["request"], known),
        "failure": {
            "category": one.before["failure_category"],
            "reason": mask_text(reason, known) if reason and known else reason,
        },
        "key_id": one.key_id,
        "request_id": one.request_id,
    }
    names = ", ".join(sorted(details["changes"])) or "the request"
    what = f"A caller corrected {names}" if one.changes else "A caller had it tried once more as it was"
    return {
        "at": one.at,
        "kind": "correction" if one.changes else "resubmission",
        "source": "person",
        "attempt": one.attempt,
        "summary": f"{what}: attempt {one.attempt} began.",
        "details": details,
    }


def _decision(one: Decision, known: Known | None) -> Entry:
    details: dict[str, Any] = {"cobalt_appointment_ids": one.cobalt_appointment_ids}
    if one.source == "person":
        details |= {"by": one.decided_by} | ({"why": one.why} if known is None else {})
    return {
        "at": one.at,
        "kind": one.decision,
        "source": one.source,
        "attempt": one.attempt,
        "summary": DECIDED[one.decision, one.source],
        "details": details,
    }


def _delivery(one: Delivery, event: Event, known: Known | None) -> Entry:
    entry = _event(event, known, at=one.received_at, source=one.source, disposition=one.disposition)
    if one.disposition == "duplicate":
        entry |= {"kind": "delivery", "summary": "The event was delivered once more: nothing changed."}
    elif one.disposition == "quarantined":
        entry |= {"kind": "delivery", "summary": "The event's id came again with another body: that is in quarantine."}
        entry["details"]["data"] = None
    entry["details"]["request_id"] = one.request_id
    return entry


def _event(event: Event, known: Known | None, *, at: datetime, source: str, disposition: str) -> Entry:
    kind = KINDS.get(event.type)
    said = SAID[kind] if kind else f"Cobalt told something else ({event_type(event, known)})"
    again = f", as it had in event {event.repeats}" if event.repeats else ""
    now = "" if event.disposition == disposition else f"; by now, {BECAME[event.disposition]}"
    return {
        "at": at,
        "kind": "event",
        "source": source,
        "event_id": event.id,
        "disposition": disposition,
        "summary": f"{said}{again}; {BECAME[disposition]}{now}.",
        "details": {
            "type": event_type(event, known),
            "occurred_at": time_text(event.occurred_at),
            "disposition_now": event.disposition,
            "data": event_data(event, known),
        },
    }


def _hide_foreign(entry: Entry) -> None:
    """Show of an event of another account that it came, and nothing that it says: the patient is not this one's."""
    entry["details"]["data"] = None
    if entry["kind"] == "event":
        entry["summary"] = {
            "unmatched": "Cobalt told an outcome under another account; a person has to look whose it is.",
            "ignored": "Cobalt told something under another account; that settles nothing.",
        }[entry["details"]["disposition_now"]]


def event_type(event: Event, known: Known | None) -> str:
    """Show the type of an event: whatever Cobalt called it."""
    return event.type if known is None else mask_text(event.type, known)


def event_data(event: Event, known: Known | None) -> Any:  # noqa: ANN401 (JSON)
    """Show what an event says; nothing of the types that settle nothing without ``phi``, for they may say anything.

    Args:
        event: The event.
        known: What must not be seen; None for a caller who sees patients' data.
    """
    data = event.payload.get("data")
    if known is None:
        return data
    return mask_json(data, known) if event.type in KINDS else None


def _hidden(history: History) -> Known:
    """Make ready what no entry may show: MRNs and free texts of every attempt, and MRNs that Cobalt said in any."""
    row = history.appointment
    before = [correction.before for correction in history.corrections]
    requests = [row.request, *(one.changes for one in history.corrections), *(one["request"] for one in before)]
    mrns = [row.mrn, *row.former_mrns, *(request["mrn"] for request in requests if request.get("mrn"))]
    mrns += [event.mrn for event in history.events if event.mrn]
    texts = [request[name] for request in requests for name in FREE_TEXT if request.get(name)]
    return know(dict.fromkeys(mrns), dict.fromkeys(texts)).joined(
        know_named(row.details, *(one["failure"] for one in before), *(event.payload for event in history.events))
    )
