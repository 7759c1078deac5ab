"""Appointments as CSV (RFC 4180) for spreadsheets: the same as in JSON, flattened, in columns with plain names."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from service.domain.exact_json import document
from service.domain.failures import codes_of
from service.domain.request_fields import FIELDS
from service.requests.csv_cells import protected, protected_as_value
from service.web.views.representation import ALWAYS_SHOWN, FIXED_FORM, FREE_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"

_REQUEST = (*ALWAYS_SHOWN, *(name for name in FIELDS if name not in ALWAYS_SHOWN))
_CONFIRMED = ("date_time", "timezone", "starts_at", "provider_id", "provider_name", "secondary_provider_id")

_NESTED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "request": {name: (name,) for name in _REQUEST},
    "submission": {
        "submission": ("state",),
        "tries": ("tries",),
        "last_error": ("last_error",),
        "candidates": ("candidates",),
        "accepted_at": ("accepted_at",),
    },
    "confirmation": {f"confirmed_{name}": (name,) for name in _CONFIRMED},
    "failure": {
        "failure_category": ("category",),
        "failure_codes": ("details",),
        "failure_reason": ("reason",),
        "failure_details": ("details",),
        "failure_occurred_at": ("occurred_at",),
        "remedy_fields": ("remedy", "fields"),
        "remedy_action": ("remedy", "action"),
    },
}
"""Top-level name of an appointment -> column -> where its value is under that name. The others are a column each."""

_VALUES = FIXED_FORM | {"confirmed_date_time"}
"""Columns of days, times, minutes and yes or no, which a spreadsheet may take as such.

So are those whose name ends in ``_at``; all others hold text.
"""

BYTE_ORDER_MARK = "\ufeff"
"""By which a spreadsheet knows that a file is UTF-8; it would take it for what the machine's own language uses."""
PIECE = 16_384
"""Characters: an answer that is sent line by line takes longer to send than to make."""


def csv_pieces(
    shown: Iterable[Mapping[str, Any]], names: Sequence[str], *, unmasked: bool, beginning: str = ""
) -> Iterator[str]:
    """Write appointments as CSV, a header first, in pieces of many lines.

    Args:
        shown: Appointments as ``representation.appointment`` shows them.
        names: Top-level names of an appointment: which columns, and in what order.
        unmasked: Whether they are shown unmasked; else the columns of free text are absent, as they are in JSON.
        beginning: What the file begins with, before the header.
    """
    columns = {
        column: (name, *path)
        for name in names
        for column, path in _NESTED.get(name, {name: ()}).items()
        if unmasked or name != "request" or column not in FREE_TEXT
    }
    lines = io.StringIO()
    lines.write(beginning)
    writer = csv.writer(lines)  # as it comes it writes RFC 4180
    writer.writerow(columns)
    for one in shown:
        writer.writerow([_cell(one, path, column) for column, path in columns.items()])
        if lines.tell() > PIECE:
            yield lines.getvalue()
            lines.seek(0)
            lines.truncate()
    yield lines.getvalue()


def _cell(one: Mapping[str, Any], path: tuple[str, ...], column: str) -> str | int:
    """Find a value, and write it as one cell."""
    value: Any = one
    for name in path:
        value = value.get(name) if value else None
    if value is None:
        return ""
    if column == "failure_codes":
        value = codes_of(value)
    if isinstance(value, str):
        is_value = column in _VALUES or column.endswith("_at")
        return protected_as_value(value) if is_value else protected(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value
    if isinstance(value, list):
        return protected(";".join(value))
    return document(value).decode() if value else ""
