"""A file of requests as people and spreadsheets write it."""

from __future__ import annotations

import codecs

import pytest

from service.requests.csv_cells import protected, protected_as_value
from service.requests.file import Problem, RequestFile, UnreadableFileError, read_request_file

HEADER = "mrn,location,date,time,provider,type,note"
GOOD = "00123,Main Clinic,2030-01-15,10:00,Dr. Müller,new_patient,"
VALUES = {
    "mrn": "00123",
    "location": "Main Clinic",
    "date": "2030-01-15",
    "time": "10:00",
    "provider": "Dr. Müller",
    "type": "new_patient",
}


def read(*lines: str, end: str = "\n") -> RequestFile:
    return read_request_file(end.join(lines).encode())


def refusal(raw: bytes) -> str:
    with pytest.raises(UnreadableFileError) as refused:
        read_request_file(raw)
    assert "00123" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
    ids=["plain", "BOM", "little", "big"],
)
def test_what_programs_write_is_understood(separator: str, end: str, mark: bytes, encoding: str) -> None:
    text = end.join([HEADER, GOOD, GOOD]).replace(",", separator)
    read = read_request_file(mark + text.encode(encoding))
    assert read.problems == []
    assert [(row.line, row.values) for row in read.rows] == [(2, VALUES), (3, VALUES)]


def test_the_line_that_tells_excel_the_separator_is_none_of_the_rows() -> None:
    (row,) = read("sep=;", HEADER.replace(",", ";"), GOOD.replace(",", ";").replace("Main Clinic", '"Main; 2,5"')).rows
    assert (row.line, row.values["location"]) == (3, "Main; 2,5")


def test_blank_rows_are_skipped_and_lines_still_counted() -> None:
    found = read("", HEADER, ",,,,,,", "", GOOD + '"a\nb"', '"","", ,,,,', GOOD.rstrip(","))
    assert [row.line for row in found.rows] == [5, 8]
    assert found.rows[0].values["note"] == "a\nb"


def test_empty_columns_at_the_side_are_no_columns() -> None:
    (row,) = read(HEADER + ",,", GOOD + ",,").rows
    assert row.values == VALUES


def test_the_mark_of_our_own_export_is_taken_off_and_remembered() -> None:
    given = ["00123", "=x", "2030-01-15", "10:00", "Dr. 'X'", "new", "'=1"]
    cells = [protected_as_value(text) if text[-3:] in {"-15", ":00"} else protected(text) for text in given]
    (row,) = read(HEADER, ",".join(cells)).rows
    assert [row.values[name] for name in ("mrn", "location", "provider", "note")] == ["00123", "=x", "Dr. 'X'", "'=1"]
    assert row.marked == {"mrn", "location", "note"}


def problems(*lines: str) -> list[tuple[int, str]]:
    return [(one.line, one.field) for one in read(*lines).problems]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("mrn,mrn,location,date,time,provider,type", [(1, "mrn")]),
        ("mrn,location,date,time,provider,type,date,mrn", [(1, "mrn"), (1, "date")]),
        ("mrn, mrn ,location,date,time,provider,type", [(1, "mrn")]),
        ("nrm,location,date,time,provider,type", [(1, "nrm"), (1, "mrn")]),
        ("mrn,location,date,time,provider,type,status,123456789", [(1, "status"), (1, "column 8")]),
        ("mrn,type", [(1, "location"), (1, "provider"), (1, "date"), (1, "time")]),
        ("mrn,location,datetime,provider,type", []),
    ],
)
def test_columns_that_are_doubled_unknown_or_missing_are_named(header: str, found: list[tuple[int, str]]) -> None:
    assert problems(header, "x") == found


def test_a_misspelt_column_is_told_what_it_may_be() -> None:
    wrong = read(HEADER.replace("location", "Locaton") + ",Secondary Provider", GOOD).problems
    assert Problem(1, "Locaton", "is not the name of a field; did you mean location?") in wrong
    assert any("did you mean secondary_provider?" in one.detail for one in wrong)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (GOOD + ",more", [(2, "")]),
        (GOOD + ",,,", []),
        (GOOD.replace(",Main Clinic", ', "Main Clinic"'), [(2, "location")]),
    ],
)
def test_a_row_of_another_form_than_the_header_is_named(row: str, found: list[tuple[int, str]]) -> None:
    assert problems(HEADER, row) == found


def test_a_value_under_no_name_is_refused() -> None:
    assert problems(HEADER + ",", GOOD + ",x") == [(2, "")]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (GOOD.replace("Main Clinic", '"Main Clinic'), 3),
        (GOOD.replace("Main Clinic", '"Main" Clinic'), 3),
        (GOOD.replace("Main Clinic", '"Main Clinic') + "\n" + GOOD.replace("Main Clinic", '"Main Clinic"'), 3),
    ],
)
def test_broken_quotes_are_refused_with_the_line(row: str, line: int) -> None:
    message = refusal(f"{HEADER}\n{GOOD}\n{row}\n{GOOD}".encode())
    assert message.startswith(f"line {line}: the quotes are broken")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (f"{HEADER}\n{GOOD}".encode("latin-1"), "is not UTF-8 (line 2)"),
        (f"{HEADER}\n{GOOD}".encode("utf-16-le"), "UTF-16 without its mark"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8x", "is not UTF-16LE"),
        (codecs.BOM_UTF32_LE + HEADER.encode("utf-32-le"), "UTF-32"),
        (b"PK\x03\x04\x14\x00", "is a workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "is a workbook"),
        (b"", "no rows"),
        (b"00123,Main Clinic\n", "line 1: names no field"),
        (HEADER.encode(), "no rows"),
        (f"{HEADER}\n,,,\n".encode(), "no rows"),
    ],
)
def test_what_is_no_file_of_requests_is_told_so(raw: bytes, said: str) -> None:
    assert said in refusal(raw)
