"""The account that `make prove` draws up: it must find what it claims to find."""

from __future__ import annotations

from typing import Any

import pytest

from service.lab.drill import blackout
from service.lab.drill.account import Account, draw_up
from service.lab.drill.callers import Taken
from service.lab.drill.evidence import Cobalts, Ours

TAKEN = Taken("MRN-1", "appt_1", 1)
ROW = {
    "id": "appt_1",
    "mrn": "MRN-1",
    "status": "created",
    "submission": "accepted",
    "failure_category": None,
    "failures": 0,
    "cobalt_appointment_id": "c1",
    "last_error": None,
    "learned_by": "webhook",
    "last_call": "accepted",
}
EVENT = {"id": "evt_1", "disposition": "applied", "source": "webhook", "cobalt_appointment_id": "c1"}
KEPT = {"event_id": "evt_1", "source": "webhook", "disposition": "applied"}
BOOKING = {
    "id": "c1",
    "source": "cobalt_operation",
    "state": "scheduled",
    "outcome": "created",
    "request": {"mrn": "MRN-1"},
}
SENT = {"event_id": "evt_1", "attempt": 1, "status": 200, "error": None, "seconds": 0.1}
TOLD = {"lost": False, "event": {"id": "evt_1", "type": "appointment.created", "data": {"appointment_id": "c1"}}}
FAILED = {"status": "failed", "failure_category": "provider_not_found"}
NOT_BOOKED = {"state": "failed", "outcome": "provider not found"}
GIVEN_UP = {"status": "failed", "failure_category": "submission_unconfirmed", "cobalt_appointment_id": None}


def account(
    *,
    row: dict[str, Any] | None = None,
    rows: list[dict[str, Any]] | None = None,
    event: dict[str, Any] | None = None,
    kept: list[dict[str, Any]] | None = None,
    booked: list[dict[str, Any]] | None = None,
    sent: list[dict[str, Any]] | None = None,
    quarantine: list[dict[str, Any]] | None = None,
    swept: int = 0,
    damaged: int = 0,
) -> Account:
    """Draw up the account of one appointment that went well, except for what is given."""
    ours = Ours(
        appointments=[ROW | (row or {})] if rows is None else rows,
        events=[EVENT | (event or {})],
        deliveries=[KEPT] if kept is None else kept,
        quarantine=quarantine or [],
        spooled=0,
        damaged=damaged,
        swept=swept,
    )
    cobalts = Cobalts(
        appointments=[BOOKING] if booked is None else booked,
        events=[TOLD],
        deliveries=[SENT] if sent is None else sent,
        stats={"booked": 1},
    )
    return draw_up([TAKEN], ours, cobalts)


def broken(drawn: Account) -> set[str]:
    return {name for name, cases in drawn.defects.items() if cases}


def test_what_went_well_is_clean() -> None:
    drawn = account()
    assert drawn.is_clean
    assert drawn.places == {"created": 1}


@pytest.mark.parametrize(
    ("changes", "defects"),
    [
        ({"row": {"status": "processing"}}, {"lost"}),
        ({"row": {"status": "processing", "submission": "unconfirmed"}}, {"lost"}),
        ({"row": GIVEN_UP}, {"lost"}),
        ({"row": FAILED}, {"wrong state"}),
        ({"booked": [BOOKING | NOT_BOOKED]}, {"wrong state"}),
        ({"row": {"cobalt_appointment_id": "c2"}}, {"wrong state"}),
        ({"row": {**FAILED, "failure_category": "other"}, "booked": [BOOKING | NOT_BOOKED]}, {"wrong state"}),
        ({"booked": [BOOKING, BOOKING | {"id": "c2"}]}, {"doubled in Cobalt"}),
        ({"rows": [ROW, ROW | {"id": "appt_2", "cobalt_appointment_id": None}]}, {"doubled here"}),
        ({"kept": []}, {"2xx without a record"}),
        ({"kept": [KEPT | {"source": "poll"}]}, {"2xx without a record"}),
        ({"sent": [SENT, SENT]}, {"2xx without a record"}),
        ({"kept": [KEPT, KEPT]}, {"applied more than once"}),
        ({"row": {"failures": 1}}, {"applied more than once"}),
        ({"event": {"disposition": "unmatched"}}, {"overlooked events"}),
        ({"swept": 1}, {"overlooked events"}),
        ({"damaged": 1}, {"damaged in a spool"}),
        ({"sent": [SENT | {"seconds": 2.01}]}, {"answers over 2 s"}),
        ({"sent": [SENT | {"status": None, "error": "timeout", "seconds": 5.0}]}, {"answers over 2 s"}),
        ({"quarantine": [{"raw": b"{", "reason": "is no JSON", "deliveries": 1}]}, {"quarantined"}),
    ],
)
def test_each_defect_is_named(changes: dict[str, Any], defects: set[str]) -> None:
    drawn = account(**changes)
    assert broken(drawn) == defects
    assert not drawn.is_clean


def test_a_request_that_was_taken_and_is_not_there_is_lost_and_the_sum_does_not_come_out() -> None:
    drawn = account(rows=[])
    assert broken(drawn) == {"lost"}
    assert not drawn.is_complete


def test_a_failure_that_was_told_is_right() -> None:
    drawn = account(row=FAILED, booked=[BOOKING | NOT_BOOKED])
    assert drawn.is_clean
    assert drawn.places == {"failed": 1}


def test_a_person_decides_rightly_where_cobalt_never_booked() -> None:
    drawn = account(row=GIVEN_UP, booked=[])
    assert drawn.is_clean
    assert drawn.places == {"waiting for a person": 1}


def test_a_person_decides_rightly_where_a_failure_was_never_told() -> None:
    drawn = account(
        row=GIVEN_UP, booked=[BOOKING | NOT_BOOKED], event={"id": "evt_2"}, kept=[], sent=[SENT | {"status": 503}]
    )
    assert drawn.is_clean


def test_a_duplicate_and_a_spooled_delivery_are_records_too() -> None:
    kept = [KEPT | {"source": "spool"}, KEPT | {"disposition": "duplicate"}]
    assert account(kept=kept, sent=[SENT, SENT]).is_clean


def test_a_quarantined_body_is_a_record_of_its_event() -> None:
    quarantine = [{"raw": b'{"id":"evt_1"}', "reason": "could not be applied", "deliveries": 1}]
    assert broken(account(kept=[], quarantine=quarantine)) == {"quarantined"}


@pytest.mark.parametrize(
    ("row", "sent", "stats", "defects"),
    [
        ({}, {}, {}, set()),
        ({"learned_by": "webhook"}, {}, {}, {blackout.NOT_BY_ASKING}),
        ({"learned_from": "list_c1"}, {}, {}, {blackout.NOT_BY_ASKING}),
        ({"failure_category": "submission_unconfirmed"}, {}, {}, {blackout.PERSON}),
        ({"status": "processing"}, {}, {}, {blackout.PERSON}),
        ({}, {"status": 200}, {}, {blackout.ARRIVED}),
        ({}, {}, {"event_walks": 1000, "event_pages": 1000}, {blackout.CALLS}),
        ({}, {}, {"event_pages": 2}, {blackout.CALLS}),
    ],
)
def test_each_defect_of_a_blackout_is_named(
    row: dict[str, Any], sent: dict[str, Any], stats: dict[str, int], defects: set[str]
) -> None:
    ours = Ours(
        appointments=[ROW | {"learned_by": "poll", "learned_from": "evt_1"} | row],
        events=[EVENT],
        deliveries=[],
        quarantine=[],
        spooled=0,
        damaged=0,
        swept=0,
    )
    cobalts = Cobalts(
        appointments=[BOOKING],
        events=[TOLD],
        deliveries=[SENT | {"status": None} | sent],
        stats={"event_walks": 1, "event_pages": 1, "event_queries": 2} | stats,
    )
    drawn = Account()
    blackout.judge(drawn, ours, cobalts, day=144, took=10, workers=2)
    assert broken(drawn) == defects
