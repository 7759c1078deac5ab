"""Brings a database to where a test begins, through the same use cases as the service, and reads it back."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from service.cobalt import Accepted
from service.domain.arrivals import Arrival, Source
from service.domain.events import read_event
from service.postgres.engine import make_engine, transaction
from service.postgres.queries import submissions
from service.postgres.queries.due import count_due
from service.usecases.events.apply_events import apply
from service.usecases.submissions.correct import CorrectionRequest, correct
from service.usecases.submissions.record_reply import record_reply
from service.usecases.submissions.request_appointment import AppointmentRequest, request_appointment
from service.usecases.submissions.submit import expire_leases
from tests.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Engine

    from service.cobalt import Reply
    from service.domain.states import Disposition
    from service.postgres.queries.submissions import Claim

FIELDS = {
    "mrn": "123456789",
    "location": "123456789",
    "date": "2025-01-01",
    "time": "10:00",
    "provider": "123456789",
    "type": "new_patient",
}
ACCOUNT = "clinic_1"
SETTINGS = settings_from(COBALT_ACCOUNT=ACCOUNT, COBALT_ACCESS_TOKEN="token_1")
NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(minutes=1)


@contextmanager
def open_engine(database_url: str) -> Iterator[Engine]:
    """Open a pool that is wide enough for tests that race."""
    seconds = timedelta(seconds=20)
    engine = make_engine(database_url, pool=20, statement_timeout=seconds, lock_timeout=seconds / 2)
    try:
        yield engine
    finally:
        engine.dispose()


def ask(engine: Engine, account: str = ACCOUNT, settings: Any = SETTINGS, **changed: Any) -> str:  # noqa: ANN401
    """Ask for an appointment; a field of None is left out. Returns its id."""
    fields = {name: value for name, value in (FIELDS | changed).items() if value is not None}
    wanted = AppointmentRequest(fields=fields, account=account, metadata={}, request_id="req_test")
    with transaction(engine) as session:
        return request_appointment(session, settings, wanted).id


def claim(engine: Engine, most: int = 1000, now: datetime | None = None) -> dict[str, Claim]:
    """Claim what is due as a worker does; appointment id -> the right to one call."""
    now = now or datetime.now(UTC)
    with transaction(engine) as session:
        due = count_due(session, submissions.COUNT_QUEUED, most=most, left_alone=(), now=now)
        claims = submissions.claim(session, allowed=due, now=now, lease_until=now + LEASE)
    return {one.appointment_id: one for one in claims}


def answer(engine: Engine, claim: Claim, reply: Reply) -> str:
    """Record what Cobalt answered to a claimed call."""
    return record_reply(engine, claim, reply, ask_after=SETTINGS.ask_after)


def accepted(cobalt_id: str, job_id: str | None = None) -> Accepted:
    """Make Cobalt's yes."""
    return Accepted(cobalt_id, job_id, datetime.now(UTC))


def submit(engine: Engine, *cobalt_ids: str, **changed: Any) -> list[str]:
    """Ask for appointments and have Cobalt take them under these ids; returns ours, in the same order."""
    ids = [ask(engine, **changed) for _ in cobalt_ids]
    claims = claim(engine)
    for appointment_id, cobalt_id in zip(ids, cobalt_ids, strict=True):
        assert answer(engine, claims[appointment_id], accepted(cobalt_id)) == "accepted"
    return ids


def expire_now(engine: Engine) -> int:
    """Let the leases of all calls in flight run out; returns how many they were."""
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET lease_until = now() - interval '1 second'"))
    return expire_leases(engine)["expired"]


def begin_correction(engine: Engine, appointment_id: str) -> None:
    """Correct a failed appointment, as a person does."""
    wanted = CorrectionRequest(appointment_id=appointment_id, changes={"mrn": "42"}, key_id=None, request_id="req_test")
    with transaction(engine) as session:
        correct(session, SETTINGS, wanted, check=lambda fields: fields)


def created(event_id: str, cobalt_id: str, minutes: float = 0, **data: Any) -> bytes:
    """Write an event that confirms the appointment asked for, so many minutes after noon."""
    confirmed = {
        "date_time": "2025-01-01T10:00",
        "timezone": "America/New_York",
        "provider_id": "emr_prov_123",
        "provider_name": "Dr. Smith",
        "secondary_provider_id": None,
        "mrn": FIELDS["mrn"],
    }
    return event(event_id, "appointment.created", {"appointment_id": cobalt_id} | confirmed | data, minutes)


def failed(event_id: str, cobalt_id: str, minutes: float = 0, **data: Any) -> bytes:
    """Write an event that tells a failure, so many minutes after noon."""
    told = {"mrn": FIELDS["mrn"], "failure_reason": f"Reason of {event_id}"}
    return event(event_id, "appointment.failed", {"appointment_id": cobalt_id} | told | data, minutes)


def event(event_id: str, kind: str, data: Mapping[str, Any], minutes: float = 0) -> bytes:
    """Write an event of any type."""
    moment = (NOON + timedelta(minutes=minutes)).isoformat()
    return json.dumps(
        {
            "id": event_id,
            "access_token_reference_id": ACCOUNT,
            "object": "event",
            "created": moment.replace("+00:00", "Z"),
            "type": kind,
            "data": data,
        }
    ).encode()


def arrive(raw: bytes) -> Arrival:
    """Read an event as the webhook endpoint does."""
    now = datetime.now(UTC)
    return Arrival(read_event(raw, received_at=now), Source.WEBHOOK, now, "req_event", raw)


def deliver(engine: Engine, *raws: bytes) -> list[Disposition]:
    """Deliver events as one batch through the door."""
    return apply(engine, [arrive(raw) for raw in raws])


def rows(engine: Engine, table: str) -> list[dict[str, Any]]:
    """Read a whole table, by its primary key."""
    query = text(f'SELECT * FROM "{table}" ORDER BY 1')  # noqa: S608 (a name from a test)
    with transaction(engine) as session:
        return [dict(row) for row in session.execute(query).mappings()]


def row(engine: Engine, appointment_id: str) -> dict[str, Any]:
    """Read one appointment."""
    return next(found for found in rows(engine, "appointments") if found["id"] == appointment_id)


def dispositions(engine: Engine) -> dict[str, str]:
    """Read what became of each event."""
    return {found["id"]: found["disposition"] for found in rows(engine, "events")}


def columns(found: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """Pick columns of a row."""
    return tuple(found[name] for name in names)


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until the condition holds.

    Raises:
        AssertionError: It did not in this time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_for_the_others(engine: Engine) -> None:
    """Wait until whatever was written before now has ended: other tests share the server, and delay what is shown."""
    with transaction(engine) as session:
        now = session.scalar(text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))

    def have_ended() -> bool:
        with transaction(engine) as session:
            reached = session.scalar(text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"))
            return bool(reached >= now)

    until(have_ended, 60)


def in_batches(items: Sequence[bytes], sizes: Sequence[int]) -> list[Sequence[bytes]]:
    """Cut a sequence into batches of these sizes, which repeat."""
    batches: list[Sequence[bytes]] = []
    start = 0
    while start < len(items):
        size = sizes[len(batches) % len(sizes)]
        batches.append(items[start : start + size])
        start += size
    return batches
