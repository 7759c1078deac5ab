"""Forged and foreign events: what nobody signed, what another account signed, and what contradicts itself."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from psycopg.rows import dict_row

from service.cobalt.signing import sign
from service.lab.attack.finding import Finding
from service.lab.attack.scene import Scene
from service.lab.attack.wire import head, say
from service.lab.bench.dataset import waiting_appointments
from service.lab.bench.requests import Waiting
from service.postgres.sessions import connect

WITHIN = 3.0  # seconds in which what was answered 202 by way of the spool is in the tables
_ROW = """
SELECT status, failure_category, failures, discrepancies, submission FROM appointments WHERE cobalt_appointment_id = %s
"""
_KNOWN = (
    "SELECT (SELECT count(*) FROM events WHERE id = %(id)s) + (SELECT count(*) FROM quarantine WHERE raw = %(raw)s)"
)


class Sender:
    """Sends events, rightly signed unless told otherwise, and looks what became of them."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.account = scene.stack.account
        self._rows = iter(waiting_appointments(scene.stack.database_url, self.account, 20))

    def row(self) -> Waiting:
        """One more appointment that waits for its event."""
        return next(self._rows)

    def send(self, body: bytes, signature: str | None = "") -> tuple[int, dict[str, Any]]:
        """Send a body; returns status and JSON of the answer, status 0 without one."""
        given = sign(body, self.scene.stack.webhook_secret) if signature == "" else signature
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        headers |= {} if given is None else {"cobalt-verification": given}
        heard = say(self.scene.port, head("POST", "/webhooks/cobalt", headers) + body, patience=5)
        content = heard.raw.partition(b"\r\n\r\n")[2]
        return (heard.statuses or [0])[0], json.loads(content) if content.startswith(b"{") else {}

    def look(self, one: Waiting) -> Mapping[str, Any]:
        """The row as it stands."""
        with connect(self.scene.stack.database_url, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(_ROW, [one.cobalt_id]).fetchone() or {}

    def knows(self, event_id: str, raw: bytes) -> bool:
        """Whether anything is kept of an event."""
        with connect(self.scene.stack.database_url, autocommit=True) as connection:
            row = connection.execute(_KNOWN, {"id": event_id, "raw": raw}).fetchone()
        return bool(row and row[0])


def event(account: str, one: Waiting, kind: str = "created", **changes: Any) -> tuple[str, bytes]:
    """An event about an appointment: its id and its body."""
    told: dict[str, Any] = {
        "id": f"evt_attack_{secrets.token_hex(8)}",
        "access_token_reference_id": account,
        "object": "event",
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "type": f"appointment.{kind}",
        "data": {"appointment_id": one.cobalt_id, "mrn": one.mrn},
    }
    if kind == "created":
        told["data"] |= {"date_time": "2030-01-15T10:00", "timezone": "America/New_York", "provider_name": "Dr. Smith"}
    else:
        told["data"] |= {"failure_reason": changes.pop("reason")}
    told |= changes
    return told["id"], json.dumps(told, separators=(",", ":")).encode()


def attack(scene: Scene) -> Iterator[Finding]:
    """Try each."""
    sender = Sender(scene)
    yield _unsigned(sender)
    for find in (_foreign, _contradicting, _from_the_future):
        yield find(sender)


def _unsigned(sender: Sender) -> Finding:
    """Whoever has not the secret changes nothing and leaves nothing."""
    secret = sender.scene.stack.webhook_secret
    forgeries: Mapping[str, Callable[[bytes], str | None]] = {
        "no signature": lambda _: None,
        "an empty one": lambda _: " ",
        "a made-up one": lambda _: "0" * 64,
        "another secret's": lambda body: sign(body, "whsec_other"),
        "no secret's": lambda body: sign(body, ""),
        "another body's": lambda body: sign(body + b" ", secret),
        "half of the right one": lambda body: sign(body, secret)[:32],
        "bytes beyond ASCII": lambda _: "\xe9" * 64,
        "the right one and more": lambda body: sign(body, secret) + "00",
        "the right one in a list": lambda body: f"{sign(body, secret)}, {'0' * 64}",
    }
    bad = []
    for name, forge in forgeries.items():
        one = sender.row()
        event_id, body = event(sender.account, one)
        status, _ = sender.send(body, forge(body))
        if status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.BAD_REQUEST} or sender.knows(event_id, body):
            bad.append(f"{name}: {status}")
        if sender.look(one).get("status") != "processing":
            bad.append(f"{name}: settled")
    return Finding(
        tried=f"events with {len(forgeries)} kinds of forged signatures",
        came="; ".join(bad) or "all refused",
        limit="401, and nothing kept",
        hurts=bool(bad),
    )


def _foreign(sender: Sender) -> Finding:
    """Another account's event, rightly signed, about a row of ours."""
    one = sender.row()
    _, body = event("another_clinic", one)
    status, answer = sender.send(body)
    row = sender.look(one)
    silent = row["status"] != "processing" and not row["discrepancies"]
    return Finding(
        tried="another account's signed event about an appointment",
        came=f"{status} {answer.get('disposition')}; the row is {row['status']}, discrepancies {row['discrepancies']}",
        limit="never settled silently",
        hurts=silent or status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED},
    )


def _contradicting(sender: Sender) -> Finding:
    """The same id twice, with different bodies."""
    first, second = sender.row(), sender.row()
    event_id, body = event(sender.account, first)
    sender.send(body)
    _, other = event(sender.account, second, id=event_id)
    status, answer = sender.send(other)
    again, _ = sender.send(body)
    until = time.monotonic() + WITHIN
    while not (kept := sender.knows("", other)) and time.monotonic() < until:
        time.sleep(0.05)
    return Finding(
        tried="an event's id again, with another body",
        came=f"{status} {answer.get('disposition')}, {'kept' if kept else 'kept NOWHERE'}; then the first: {again}",
        limit="202 quarantined and kept; 200",
        hurts=not kept or status != HTTPStatus.ACCEPTED or again != HTTPStatus.OK,
    )


def _from_the_future(sender: Sender) -> Finding:
    """A failure dated 2099 must not outweigh what comes after it."""
    one = sender.row()
    _, early = event(
        sender.account,
        one,
        "failed",
        reason=f"Patient MRN '{one.mrn}' not found in eCW.",
        created="2099-01-01T00:00:00Z",
    )
    first, _ = sender.send(early)
    _, late = event(sender.account, one, "failed", reason="Provider not found: 'Dr. Smith' is not in eCW.")
    statuses = [first, sender.send(late)[0]]
    row = sender.look(one)
    return Finding(
        tried="a failure dated 2099, then another one dated now",
        came=f"{statuses}; the row says {row['failure_category']}",
        limit="what came last counts: not patient_not_found",
        hurts=row["failure_category"] == "patient_not_found" or statuses != [HTTPStatus.OK, HTTPStatus.OK],
    )
