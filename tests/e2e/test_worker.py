"""The worker as a process: it ends in order, is killed in the middle of a call, and meets webhooks that come early."""

from __future__ import annotations

import os
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.postgres.sessions import connect
from tests.records import FIELDS, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.processes import Process
    from service.lab.stack import Stack

FAULTLESS = {"delay": 0.1, "webhook_before_reply": 0}
PATIENCE = 30  # seconds, on a machine that is busy with other tests


class Clinic:
    """Requests of one test, told apart from others' by their MRN, and what the sandbox made of them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.mrn = uuid.uuid4().hex
        headers = {"Authorization": f"Bearer {stack.api_key}"}
        self.api = httpx.Client(base_url=stack.url, headers=headers, timeout=PATIENCE, trust_env=False)
        control = stack.sandbox_url.removesuffix("/v1") + "/_sandbox"
        self.sandbox = httpx.Client(base_url=control, timeout=PATIENCE, trust_env=False)

    @property
    def worker(self) -> Process:
        return self.stack.workers[0]

    def ask(self) -> str:
        answer = self.api.post("/v1/appointments", json=FIELDS | {"mrn": self.mrn}).raise_for_status()
        appointment_id: str = answer.json()["id"]
        return appointment_id

    def get(self, appointment_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/v1/appointments/{appointment_id}").raise_for_status().json()
        return found

    def bookings(self) -> list[dict[str, Any]]:
        """What the sandbox has booked for this clinic."""
        booked = self.sandbox.get("/appointments").raise_for_status().json()["appointments"]
        return [one for one in booked if one["request"]["mrn"] == self.mrn]

    def count_early(self) -> int:
        """How many webhooks the sandbox has sent before it replied to the create."""
        stats = self.sandbox.get("/stats").raise_for_status().json()
        return int(stats["webhooks_before_reply"])

    def set_faults(self, **faults: float) -> None:
        self.sandbox.put("/faults", json=faults).raise_for_status()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Look at, or change, this clinic's rows behind the service's back."""
        with connect(self.stack.database_url) as connection:
            cursor = connection.execute(statement.encode(), {"mrn": self.mrn})
            return cursor.fetchall() if cursor.description else []

    def states(self) -> list[tuple[str, str, int]]:
        """Status, submission and tries of each row."""
        return self.execute("SELECT status, submission, tries FROM appointments WHERE mrn = %(mrn)s")

    def hold_a_call(self) -> str:
        """Bring a call to where the sandbox has booked it, and cannot answer because nobody takes its webhook."""
        self.set_faults(webhook_before_reply=1)
        self.worker.freeze()
        appointment_id = self.ask()
        self.stack.webs[0].freeze()
        self.worker.thaw()
        until(self.bookings, PATIENCE)
        assert self.states() == [("processing", "sending", 1)]
        return appointment_id


@pytest.fixture
def clinic(stack: Stack) -> Iterator[Clinic]:
    clinic = Clinic(stack)
    yield clinic
    stack.webs[0].thaw()
    if not clinic.worker.is_running:
        clinic.worker.start()
    clinic.worker.thaw()
    clinic.set_faults(**FAULTLESS)
    clinic.api.close()
    clinic.sandbox.close()


def test_a_worker_that_is_asked_to_stop_finishes_the_call_in_flight_and_exits_with_0(clinic: Clinic) -> None:
    appointment_id = clinic.hold_a_call()

    os.kill(clinic.worker.pid, signal.SIGTERM)
    until(lambda: '"stopping"' in clinic.worker.log_text(), PATIENCE)
    left_alone = clinic.execute(
        "INSERT INTO appointments (id, account, request, mrn, provider, type, request_id)"
        " SELECT 'appt_' || mrn, account, request, mrn, provider, type, request_id FROM appointments"
        " WHERE mrn = %(mrn)s RETURNING id"
    )
    assert clinic.worker.is_running
    clinic.stack.webs[0].thaw()
    until(lambda: not clinic.worker.is_running, PATIENCE)

    assert clinic.worker.returncode == 0
    assert clinic.get(appointment_id)["submission"]["state"] == "accepted"
    until(lambda: clinic.get(appointment_id)["status"] == "created", PATIENCE)
    assert clinic.get(left_alone[0][0])["submission"]["tries"] == 0


def test_a_call_whose_worker_is_killed_is_not_made_again(clinic: Clinic) -> None:
    clinic.hold_a_call()

    clinic.worker.kill()
    clinic.stack.webs[0].thaw()
    assert clinic.states() == [("processing", "sending", 1)]
    clinic.execute("UPDATE appointments SET lease_until = now() - interval '1 second' WHERE mrn = %(mrn)s")
    clinic.worker.start()
    # From then on it may find its own booking by the evidence; what it must never do is to book once more.
    until(lambda: clinic.states()[0][1] != "sending", PATIENCE)

    assert "submission unconfirmed: its worker was lost" in clinic.worker.log_text()
    [(_, submission, tries)] = clinic.states()
    assert (submission in {"unconfirmed", "accepted"}, tries) == (True, 1)
    assert len(clinic.bookings()) == 1


def test_no_appointment_is_left_processing_when_every_webhook_comes_before_its_reply(clinic: Clinic) -> None:
    clinic.set_faults(webhook_before_reply=1)
    count, early_before = 200, clinic.count_early()

    with ThreadPoolExecutor(16) as callers:
        asked = set(callers.map(lambda _: clinic.ask(), range(count)))
    until(lambda: {(status, state) for status, state, _ in clinic.states()} == {("created", "accepted")}, PATIENCE)

    assert len(asked) == len(clinic.states()) == len(clinic.bookings()) == count
    assert clinic.count_early() - early_before == count
