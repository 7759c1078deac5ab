"""Two hundred creates of which nobody can say whether Cobalt took them: none is sent twice, all are settled."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, LiteralString

import httpx
import pytest
from psycopg.rows import dict_row

from service.postgres.sessions import connect
from tests.records import until
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

EACH = 50
QUICK = {
    "COBALT_TIMEOUT": "1",
    "OVERDUE_AFTER": "1",
    "ASK_AFTER": "1",
    "ASK_INTERVAL": "0.1",
    "ACCOUNT_PROBE_INTERVAL": "0.1",  # a fault is soon over
    "ASK_RATE": "1000",
    "UNCONFIRMED_AFTER": "4",
    "WORKER_INTERVAL": "0.05",
    "WEB_CONCURRENCY": "1",
}
_mrns = itertools.count(10_000_001)


@pytest.fixture
def drill(database_url: str) -> Iterator[Drill]:
    # With the job's number in the reply even a failure whose webhook was lost can be asked for.
    options = ["--reply-shape", "under-data", "--delay", "0.3", "--seed", "ambiguous"]
    options += ["--lose-webhook", "0.4", "--foreign-events", "0.1"]
    with running(database_url=database_url, webs=1, workers=2, sandbox_options=options, env=QUICK) as stack:
        drill = Drill(stack)
        yield drill
        drill.close()


class Drill:
    """Submits requests and looks at what became of them, here and at Cobalt."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        headers = {"Authorization": f"Bearer {stack.api_key}"}
        self.web = httpx.Client(base_url=stack.url, headers=headers, timeout=20, trust_env=False)
        control = stack.sandbox_url.removesuffix("/v1") + "/_sandbox"
        self.database = connect(stack.database_url, autocommit=True)
        self.sandbox = httpx.Client(base_url=control, timeout=20, trust_env=False)

    def close(self) -> None:
        self.web.close()
        self.database.close()
        self.sandbox.close()

    def faults(self, **rates: float) -> None:
        none = dict.fromkeys(("lose_reply", "error_500"), 0.0)
        self.sandbox.put("/faults", json=none | rates).raise_for_status()

    def submit(self) -> None:
        for number in range(EACH):
            asked = {
                "mrn": str(next(_mrns)),
                "location": "Main Clinic",
                "date": "2030-01-15",
                "time": f"{8 + number % 10}:{number % 6}0",
                "provider": "Dr. Smith",
                "type": "Annual Wellness Visit" if number % 10 == 0 else "new_patient",  # Cobalt fails the former
            }
            self.web.post("/v1/appointments", json=asked).raise_for_status()

    def rows(self) -> list[dict[str, Any]]:
        return self.database.cursor(row_factory=dict_row).execute("SELECT * FROM appointments").fetchall()

    def any_is(self, submission: str) -> bool:
        query = "SELECT 1 FROM appointments WHERE submission = %s AND status = 'processing' LIMIT 1"
        return bool(self.database.execute(query, [submission]).fetchall())

    def wait_until_sent(self) -> None:
        # An account of which every call is answered 500 is tried one call at a time.
        until(lambda: not self.any_is("queued") and not self.any_is("sending"), seconds=120)

    def wait_until_healthy(self) -> None:
        query = "SELECT 1 FROM account_health WHERE health <> 'healthy'"
        until(lambda: not self.database.execute(query).fetchall(), seconds=60)

    def wait_until_settled(self) -> None:
        query = "SELECT 1 FROM appointments WHERE status = 'processing' LIMIT 1"
        until(lambda: not self.database.execute(query).fetchall(), seconds=120)

    def booked(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for one in self.sandbox.get("/appointments").json()["appointments"]:
            if one["source"] == "cobalt_operation":
                found.setdefault(one["request"]["mrn"], []).append(one)
        return found

    def disagreements(self, booked: dict[str, list[dict[str, Any]]]) -> list[str]:
        """Requests that are booked here and not at Cobalt, or the other way round."""
        return [
            row["id"]
            for row in self.rows()
            if (row["status"] == "created") != any(one["state"] == "scheduled" for one in booked.get(row["mrn"], []))
        ]

    def apply(self, query: LiteralString) -> list[tuple[Any, ...]]:
        return self.database.execute(query).fetchall()


@pytest.mark.timeout(400)
def test_two_hundred_ambiguous_creates_are_settled_and_none_is_sent_twice(drill: Drill) -> None:
    stack = drill.stack
    drill.faults(lose_reply=1)  # taken, and the connection cut
    drill.submit()
    drill.wait_until_sent()

    drill.faults(error_500=1)  # taken or not, and HTTP 500
    drill.submit()
    drill.wait_until_sent()

    drill.faults()
    drill.wait_until_healthy()  # an account that pauses sends nothing into the silence
    stack.sandbox.freeze()  # silence: they are taken when it wakes, long after we stopped waiting
    drill.submit()
    drill.wait_until_sent()
    drill.submit()
    until(lambda: drill.any_is("sending"), seconds=60)
    for worker in stack.workers:
        worker.kill()  # between the call and the record
    stack.sandbox.thaw()
    # A lease lasts for a minute; nobody waits for that here.
    lost = drill.apply("UPDATE appointments SET lease_until = now() WHERE submission = 'sending' RETURNING id")
    assert lost
    for worker in stack.workers:
        worker.start()

    drill.wait_until_settled()
    until(lambda: not drill.sandbox.get("/stats").json()["pending_webhooks"], seconds=60)
    booked = drill.booked()
    assert {mrn: len(calls) for mrn, calls in booked.items() if len(calls) > 1} == {}
    until(lambda: not drill.disagreements(booked), seconds=60)  # late events still count
    assert_settled(drill.rows(), booked)
    assert_sent_once(drill, killed=len(lost))


def assert_settled(found: list[dict[str, Any]], booked: dict[str, list[dict[str, Any]]]) -> None:
    assert len(found) == 4 * EACH
    for row in found:
        calls = booked.get(row["mrn"], [])
        if row["cobalt_appointment_id"]:
            assert [one["id"] for one in calls] == [row["cobalt_appointment_id"]]
        if row["status"] == "failed" and not calls:
            assert row["failure_category"] == "submission_unconfirmed"
        assert (row["discrepancies"], row["candidates"]) == ([], [])
    settled = Counter((row["status"], row["failure_category"]) for row in found)
    assert settled["created", None] > 2 * EACH
    assert settled["failed", "visit_type_unavailable"] > 0
    assert settled["failed", "submission_unconfirmed"] > 0  # of the 500s, half were not taken


def assert_sent_once(drill: Drill, *, killed: int) -> None:
    [(ambiguous,)] = drill.apply(
        "SELECT count(DISTINCT appointment_id) FROM submissions WHERE outcome IN ('unclear', 'lost')"
    )
    assert ambiguous >= 3 * EACH + killed
    again = drill.apply(
        "SELECT appointment_id FROM submissions GROUP BY 1"
        " HAVING count(*) FILTER (WHERE outcome IS DISTINCT FROM 'never_left') > 1"
    )
    assert again == []
    sources = drill.apply("SELECT DISTINCT source FROM events WHERE disposition = 'applied'")
    # On a busy machine some webhooks are not applied in time for their answer, and go by way of the spool.
    assert {("poll",), ("webhook",)} <= set(sources) <= {("poll",), ("webhook",), ("spool",)}
