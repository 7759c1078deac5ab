"""Reads requests for appointments from a CSV file, as people and spreadsheets write them.

What a file says without doubt is understood: the mark of its encoding, tabs or semicolons in place of commas, blank
rows, the quote by which our own export protects a cell. Where there is a doubt nothing is guessed.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.domain.request_fields import FIELDS
from service.errors import AppointmentsError
from service.requests.csv_cells import unprotected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMNS = (*FIELDS, "account")
REQUIRED = ("mrn", "location", "provider", "type")

_MARKS = ((codecs.BOM_UTF8, "UTF-8"), (codecs.BOM_UTF16_LE, "UTF-16LE"), (codecs.BOM_UTF16_BE, "UTF-16BE"))
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How a workbook begins: .xlsx and .ods; .xls."""
_SEPARATORS = ",;\t"
_HINT = re.compile(r"sep=(.)(\r\n|\r|\n)", re.IGNORECASE)
"""The first line by which Excel is told what separates the values."""
_NAME = re.compile(r"[A-Za-z][A-Za-z _-]{0,39}")
"""What may be repeated of a header: a file without one begins with a patient."""

_NO_ROWS = "has no rows; the first line names the fields, each other line is a request"
_LATE_QUOTE = re.compile(r'\s+"')


class UnreadableFileError(AppointmentsError):
    """A file is no CSV text, or holds no request; the message says how to save it as one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row that is not blank.

    Args:
        line: On which it begins, from 1.
        values: Field -> value, without those that are empty.
        marked: The fields whose cells were marked as text: they are what they seem to be.
    """

    line: int
    values: dict[str, str]
    marked: frozenset[str]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that is wrong in a file.

    Args:
        line: Where.
        field: Which field; empty for the line as a whole.
        detail: What is wrong and how to mend it, without the value.
    """

    line: int
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class RequestFile:
    """What a file says.

    Args:
        rows: As far as they can be read.
        missing: Fields that each row must have, and for which there is no column.
        problems: What is wrong with columns, and with the form of rows.
    """

    rows: list[Row]
    missing: frozenset[str]
    problems: list[Problem]


def read_request_file(raw: bytes) -> RequestFile:
    """Read a file whose first line names Cobalt's fields, and ``account`` if needed.

    Raises:
        UnreadableFileError: It is no text, its quotes are broken, or it has no rows.
    """
    text = _decode(raw)
    if hint := _HINT.match(text):
        records = _records(text[hint.end() :], hint[1], first=2)
    else:
        records = _records(text, _separator(text), first=1)
    header_line, header = next(records, (1, []))
    if not header:
        raise UnreadableFileError(_NO_ROWS)
    names = [unprotected(cell).strip() for cell in header]
    missing = _missing(header_line, names)
    problems = [*_judge_header(header_line, names), *missing]
    rows = []
    for line, cells in records:
        row, wrong = _read_row(line, names, cells)
        problems += wrong
        if row.values:
            rows.append(row)
    if not rows and not problems:
        raise UnreadableFileError(_NO_ROWS)
    return RequestFile(rows, frozenset(one.field for one in missing), problems)


def _decode(raw: bytes) -> str:
    if raw.startswith(_SPREADSHEETS):
        raise UnreadableFileError('is a workbook; save it as "CSV UTF-8"')
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise UnreadableFileError('is UTF-32; save it as "CSV UTF-8"')
    mark, encoding = next(((mark, name) for mark, name in _MARKS if raw.startswith(mark)), (b"", "UTF-8"))
    body = raw.removeprefix(mark)
    if encoding == "UTF-8" and b"\0" in body:
        raise UnreadableFileError('holds NUL, as UTF-16 without its mark does; save it as "CSV UTF-8"')
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise UnreadableFileError(f'is not {encoding} (line {line}); save it as "CSV UTF-8"') from error


def _separator(text: str) -> str:
    """Find what separates the values: by it the first line names the most fields."""
    first = next((line for line in text.splitlines() if line.strip(f'"{_SEPARATORS} ')), "")
    return max(_SEPARATORS, key=lambda one: sum(name.strip(' "') in COLUMNS for name in first.split(one)))


def _records(text: str, separator: str, first: int) -> Iterator[tuple[int, list[str]]]:
    """Read the records that are not blank, each with the number of the line that it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = first
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = first + reader.line_num
    except csv.Error as error:
        raise UnreadableFileError(
            f"line {line}: the quotes are broken: a value that begins with a quotation mark ends with one, and is "
            "followed by a separator; a mark inside it is written twice"
        ) from error


def _judge_header(line: int, names: Sequence[str]) -> list[Problem]:
    known = Counter(name for name in names if name in COLUMNS)
    if not known:
        raise UnreadableFileError(f"line {line}: names no field; the first line has to, as in {','.join(COLUMNS[:4])}")
    return [
        *(Problem(line, name, "is the name of several columns: keep one") for name in known if known[name] > 1),
        *(_unknown(line, position, name) for position, name in enumerate(names, 1) if name and name not in COLUMNS),
    ]


def _missing(line: int, names: Sequence[str]) -> list[Problem]:
    start = () if "datetime" in names else ("date", "time")
    return [
        Problem(line, name, "is required, and no column has this name")
        for name in (*REQUIRED, *start)
        if name not in names
    ]


def _unknown(line: int, position: int, name: str) -> Problem:
    meant = name.lower().replace(" ", "_")
    near = [one for one in COLUMNS if sorted(one) == sorted(meant)] or difflib.get_close_matches(meant, COLUMNS, n=1)
    advice = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(COLUMNS)}"
    return Problem(
        line, name if _NAME.fullmatch(name) else f"column {position}", f"is not the name of a field; {advice}"
    )


def _read_row(line: int, names: Sequence[str], cells: Sequence[str]) -> tuple[Row, list[Problem]]:
    """Read one row. It may end early: spreadsheets leave out what is empty at the end of rows."""
    values: dict[str, str] = {}
    marked, problems = set(), []
    for position, cell in enumerate(cells):
        name = names[position] if position < len(names) else ""
        if not cell.strip():
            continue
        if not name:
            detail = (
                f"has a value in column {position + 1}, which has no name; a value with a separator in it takes quotes"
            )
            problems.append(Problem(line, "", detail))
        elif _LATE_QUOTE.match(cell):
            problems.append(
                Problem(line, name, "has a blank before its quotation mark, which belongs to the value then")
            )
        elif name in COLUMNS and name not in values:
            values[name] = unprotected(cell)
            if values[name] != cell:
                marked.add(name)
    return Row(line, values, frozenset(marked)), problems
