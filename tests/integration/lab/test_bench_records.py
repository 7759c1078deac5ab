"""The benchmark's proof that what was answered 2xx is stored must be able to fail."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from service.lab.bench import records
from service.lab.bench.records import Records
from service.postgres.sessions import connect

CONNECTIONS = 2


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "DRAIN_TIMEOUT", 0.0)


@pytest.fixture
def found(database_url: str) -> Records:
    return Records(database_url, CONNECTIONS)


def store(database_url: str, event: str, *dispositions: str) -> None:
    """An event with a delivery for each of these."""
    now = datetime.now(UTC)
    with connect(database_url) as connection:
        connection.execute(
            "INSERT INTO events (id, type, disposition, occurred_at, received_at, source, payload)"
            " VALUES (%s, 'appointment.created', 'unmatched', %s, %s, 'webhook', '{}')",
            [event, now, now],
        )
        for disposition in dispositions:
            connection.execute(
                "INSERT INTO deliveries (event_id, received_at, source, disposition) VALUES (%s, %s, 'webhook', %s)",
                [event, now, disposition],
            )


def answer(event: str, disposition: str = "unmatched", status: int = 200) -> tuple[int, bytes]:
    return status, json.dumps({"event_id": event, "disposition": disposition}).encode()


def test_what_is_stored_once_is_all_right(database_url: str, found: Records) -> None:
    store(database_url, "evt_1", "unmatched")

    assert found.check_events(0, [answer("evt_1")], {"unmatched"}) == []


def test_what_was_answered_and_is_not_there_is_found(found: Records) -> None:
    problems = found.check_events(0, [answer("evt_1")], {"unmatched"})

    assert "1 of 1 answered 2xx are not recorded" in problems
    assert "0 events are stored of 1" in problems


def test_what_took_effect_twice_is_found(database_url: str, found: Records) -> None:
    store(database_url, "evt_1", "unmatched", "unmatched")

    problems = found.check_events(0, [answer("evt_1"), answer("evt_1")], {"unmatched"})

    assert problems == ["1 events do not have exactly one delivery that took effect"]


def test_another_disposition_is_found(database_url: str, found: Records) -> None:
    store(database_url, "evt_1", "unmatched")

    assert found.check_events(0, [answer("evt_1", "applied")], {"unmatched"}) == ["1 answered applied"]


def test_only_what_was_cut_off_may_be_there_without_an_answer(database_url: str, found: Records) -> None:
    for number in range(CONNECTIONS):
        store(database_url, f"evt_{number}", "unmatched")
    assert found.check_events(0, [], {"unmatched"}) == []

    store(database_url, "evt_more", "unmatched")

    assert found.check_events(0, [], {"unmatched"}) == ["3 more are recorded than were answered 2xx"]


def test_what_was_refused_need_not_be_there(found: Records) -> None:
    assert found.check_events(0, [answer("evt_1", status=503)], {"unmatched"}) == []


def test_an_appointment_that_was_answered_202_and_is_not_there_is_found(found: Records) -> None:
    problems = found.check_appointments(0, [(202, b'{"id": "appt_1"}')])

    assert problems == [
        "0 appointments are kept of 1 answered 202",
        "0 appointments were made for 1 answers 202",
    ]
