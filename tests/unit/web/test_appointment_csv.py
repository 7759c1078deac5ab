"""Appointments as CSV: one line each, in columns with plain names, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from service.requests.csv_cells import unprotected
from service.web.schemas.list_query import SHOWN
from service.web.views.appointment_csv import PIECE, csv_pieces

APPOINTMENT: dict[str, Any] = {
    "object": "appointment",
    "id": "appt_1",
    "account": "clinic_1",
    "status": "failed",
    "attempt": 2,
    "cobalt_appointment_id": "123",
    "cobalt_job_id": None,
    "request": {
        "mrn": "123456789",
        "location": "Zürich, East",
        "date": "2030-01-15",
        "time": "10:00",
        "provider": 'Dr. "Bob" Smith',
        "secondary_provider": None,
        "type": "new",
        "note": "line one\r\nline two",
        "reason": "knee",
        "duration": "030",
    },
    "submission": {"state": "accepted", "tries": 1, "last_error": None, "candidates": ["7", "8"], "accepted_at": "at"},
    "confirmation": None,
    "failure": {
        "category": "patient_not_found",
        "reason": "Not found",
        "details": {"visit_type": "x", "reasons": [{"code": "A_1"}, {"code": "B_2"}]},
        "occurred_at": "then",
        "remedy": {"fields": ["mrn", "type"], "action": "correct"},
    },
    "overdue": False,
    "conflicts": 0,
    "discrepancies": [],
    "metadata": {"order": "ö"},
    "created_at": "2030-01-01T00:00:00Z",
    "updated_at": "2030-01-02T00:00:00Z",
    "settled_at": None,
    "version": 3,
}


def read(*shown: dict[str, Any], names: tuple[str, ...] = SHOWN, unmasked: bool = True) -> list[dict[str, str]]:
    text = "".join(csv_pieces(shown, names, unmasked=unmasked))
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_value_is_in_a_column_with_a_plain_name() -> None:
    (row,) = read(APPOINTMENT)
    assert row == {
        "object": "appointment",
        "id": "appt_1",
        "account": "clinic_1",
        "status": "failed",
        "attempt": "2",
        "cobalt_appointment_id": "123",
        "cobalt_job_id": "",
        "mrn": "123456789",
        "location": "Zürich, East",
        "date": "2030-01-15",
        "time": "10:00",
        "datetime": "",
        "provider": 'Dr. "Bob" Smith',
        "secondary_provider": "",
        "type": "new",
        "note": "line one\r\nline two",
        "reason": "knee",
        "new_patient": "",
        "prevent_double_booking": "",
        "duration": "030",
        "submission": "accepted",
        "tries": "1",
        "last_error": "",
        "candidates": "7;8",
        "accepted_at": "at",
        "confirmed_date_time": "",
        "confirmed_timezone": "",
        "confirmed_starts_at": "",
        "confirmed_provider_id": "",
        "confirmed_provider_name": "",
        "confirmed_secondary_provider_id": "",
        "failure_category": "patient_not_found",
        "failure_codes": "A_1;B_2",
        "failure_reason": "Not found",
        "failure_details": '{"visit_type":"x","reasons":[{"code":"A_1"},{"code":"B_2"}]}',
        "failure_occurred_at": "then",
        "remedy_fields": "mrn;type",
        "remedy_action": "correct",
        "overdue": "false",
        "conflicts": "0",
        "discrepancies": "",
        "metadata": '{"order":"ö"}',
        "created_at": "2030-01-01T00:00:00Z",
        "updated_at": "2030-01-02T00:00:00Z",
        "settled_at": "",
        "version": "3",
    }


def test_it_is_written_as_rfc_4180_says() -> None:
    pieces = csv_pieces([APPOINTMENT], ("id", "request", "overdue"), unmasked=False)
    assert "".join(pieces) == (
        "id,mrn,location,date,time,provider,secondary_provider,type,datetime,new_patient,prevent_double_booking,"
        "duration,overdue\r\n"
        'appt_1,123456789,"Zürich, East",2030-01-15,10:00,"Dr. ""Bob"" Smith",,new,,,,030,false\r\n'
    )


@pytest.mark.parametrize("names", [("id",), ("status", "id"), ("failure", "id", "request")])
def test_the_columns_are_those_asked_for_in_that_order(names: tuple[str, ...]) -> None:
    (whole,) = read(APPOINTMENT)
    (row,) = read(APPOINTMENT, names=names)
    assert row.items() <= whole.items()
    assert [name for name in row if name in names] == [name for name in names if name in row]


def test_without_any_appointment_the_header_is_left() -> None:
    assert "".join(csv_pieces([], ("id", "status"), unmasked=True)) == "id,status\r\n"


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_what_looks_like_a_formula_is_marked_as_text(beginning: str) -> None:
    formula = f"{beginning}cmd|' /C calc'!A0"
    request = APPOINTMENT["request"] | dict.fromkeys(("mrn", "provider", "note"), formula)
    submission = APPOINTMENT["submission"] | {"candidates": [formula], "last_error": formula}
    (row,) = read(APPOINTMENT | {"request": request, "submission": submission, "account": formula})
    cells = [row[name] for name in ("mrn", "provider", "note", "candidates", "last_error", "account")]
    assert cells == [f"'{formula}"] * len(cells)
    assert not any(cell.startswith(beginning) for cell in row.values())


def test_a_long_file_comes_in_pieces_of_bounded_size() -> None:
    pieces = list(csv_pieces(iter([APPOINTMENT] * 1000), SHOWN, unmasked=True))
    assert len(pieces) > 10
    assert max(map(len, pieces)) < 2 * PIECE
    assert len(list(csv.reader(io.StringIO("".join(pieces), newline="")))) == 1001


def test_an_mrn_that_a_spreadsheet_would_damage_is_marked_as_text_and_found_again() -> None:
    for mrn in ("000123", "123456789012345678", "1E5", "SEPT2", "1/2", "-7", "'00123"):
        (row,) = read(APPOINTMENT | {"request": APPOINTMENT["request"] | {"mrn": mrn, "provider": mrn}})
        assert row["mrn"] == row["provider"] == f"'{mrn}"
        assert unprotected(row["mrn"]) == mrn
    (row,) = read(APPOINTMENT)
    assert (row["mrn"], row["date"], row["time"], row["duration"]) == ("123456789", "2030-01-15", "10:00", "030")


def test_a_file_begins_with_what_it_is_to_begin_with() -> None:
    pieces = csv_pieces([APPOINTMENT], ("id",), unmasked=True, beginning="\ufeff")
    assert "".join(pieces) == "\ufeffid\r\nappt_1\r\n"
