"""Reads of appointments: they lock nothing and change nothing.

The statements go to the driver, for a page of rows through SQLAlchemy costs several times the page itself; and each is
planned for the values that it was given, which differ too much for one plan: an account may hold most rows, or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg.rows import args_row

from service.domain.comparing import comparable
from service.domain.submission import Submission
from service.errors import NotFoundError
from service.postgres.models import UNUSUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import psycopg


class AppointmentRow(NamedTuple):
    """What callers are shown of an appointment is made of; the columns of ``models.Appointment``."""

    id: str
    account: str
    status: str
    attempt: int
    version: int
    request: dict[str, Any]
    mrn: str
    former_mrns: list[str]
    details: dict[str, Any]
    details_as_given: dict[str, Any] | None
    cobalt_appointment_id: str | None
    cobalt_job_id: str | None
    submission: str
    tries: int
    last_error: str | None
    accepted_at: datetime | None
    candidates: list[str]
    failures: int
    confirmation: dict[str, Any] | None
    failure_category: str | None
    failure: dict[str, Any] | None
    discrepancies: list[str]
    created_at: datetime
    updated_at: datetime
    requested_at: datetime
    settled_at: datetime | None


_COLUMNS: LiteralString = ", ".join(AppointmentRow._fields).replace("details", "metadata")

_GET: LiteralString = f"SELECT {_COLUMNS} FROM appointments WHERE id = %s"  # noqa: S608 (constants)

FILTERS: Mapping[str, LiteralString] = {
    "status": "status = %(status)s",
    "failure_category": "failure_category = %(failure_category)s",
    # A rare code is found by its index, a common one among the failed, in order.
    "failure_code": "status = 'failed' AND failure IS NOT NULL AND failure_codes(failure) @> ARRAY[%(failure_code)s]",
    "submission": "submission = %(submission)s",
    "account": "account = %(account)s",
    "mrn": "(mrn = %(mrn)s OR mrn_key = %(mrn)s)",
    "provider": "provider = %(provider)s",
    "type": "type = %(type)s",
    "cobalt_appointment_id": "cobalt_appointment_id = %(cobalt_appointment_id)s",
    "discrepancy": "discrepancies <> '{}' AND discrepancies @> ARRAY[%(discrepancy)s]",
    "overdue": "(status = 'processing' AND requested_at < %(overdue_before)s) = %(overdue)s",
    "created_from": "created_at >= %(created_from)s",
    "created_to": "created_at < %(created_to)s",
    "starts_from": "starts_at >= %(starts_from)s",
    "starts_to": "starts_at < %(starts_to)s",
}
"""The filters of a list: name -> the condition for its value. Ranges of time hold their beginning and not their end.

The MRN is compared as ``comparable``: a row has that as its ``mrn``, or apart where it was given in another way.
"""

SORTS: Mapping[str, tuple[LiteralString, bool]] = {
    "created_at": ("created_at", False),
    "-created_at": ("created_at", True),
    "updated_at": ("updated_at", False),
    "-updated_at": ("updated_at", True),
}
"""Sort orders, and whether each is descending. The id breaks ties, so that no row is on two pages."""

_FOUND_ANYHOW = {"failure_category", "failure_code", "mrn", "cobalt_appointment_id", "discrepancy"}
"""Filters that leave few rows, whatever their status."""

_USUAL: Mapping[tuple[LiteralString, LiteralString], tuple[LiteralString, LiteralString]] = {
    ("updated_at", "created"): ("1 day", "1 day"),
    ("created_at", "starts"): ("60 days", "1 day"),
    ("updated_at", "starts"): ("61 days", "2 days"),
}
"""Of rows that are not ``UNUSUAL``: a time and another one -> how long before and after that the first can be."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Args:
        rows: The appointments.
        last: Where the next page begins: the sort key and id of the last row; None on the last page.
    """

    rows: Sequence[AppointmentRow]
    last: tuple[datetime, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What makes a list this list.

    Args:
        filters: Names from ``FILTERS`` and their values.
        sort: A key of ``SORTS``.
    """

    filters: Mapping[str, Any]
    sort: str


def get_appointment(connection: psycopg.Connection[Any], appointment_id: str) -> AppointmentRow:
    """Get one appointment by our id.

    Raises:
        NotFoundError: There is none.
    """
    cursor = connection.cursor(row_factory=args_row(AppointmentRow))
    found = cursor.execute(_GET, [appointment_id]).fetchone()
    if found is None:
        raise NotFoundError("there is no appointment with this id")
    return found


def list_appointments(
    connection: psycopg.Connection[Any],
    listing: Listing,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
    overdue_before: datetime,
    keep: Callable[[AppointmentRow], bool] | None = None,
) -> Page:
    """List appointments.

    Args:
        connection: To read from.
        listing: Which, and in what order.
        after: Where the page before ended.
        limit: Rows at most.
        overdue_before: What was asked for earlier than this and still processes is overdue.
        keep: Tells whether a row is in the list at all; None where the conditions say it.
    """
    column, _ = SORTS[listing.sort]
    kept: list[AppointmentRow] = []
    while True:
        query, values = page_query(listing, after=after, limit=limit, overdue_before=overdue_before)
        cursor = connection.cursor(row_factory=args_row(AppointmentRow))
        rows = cursor.execute(query, values).fetchall()
        kept += filter(keep, rows) if keep else rows
        if len(kept) > limit or len(rows) <= limit:
            break
        after = getattr(rows[-1], column), rows[-1].id
    page = kept[:limit]
    return Page(page, (getattr(page[-1], column), page[-1].id) if len(kept) > limit else None)


def page_query(
    listing: Listing, *, after: tuple[datetime, str] | None, limit: int, overdue_before: datetime
) -> tuple[LiteralString, dict[str, Any]]:
    """Write the query for a page, which asks for one row more than the page holds: is there another page?

    It merges walks that meet little else than what they are to find: one for each status, for the indexes lead through
    it, and those of the few rows whose times are unusual.
    """
    column, descending = SORTS[listing.sort]
    direction: LiteralString = "DESC" if descending else "ASC"
    conditions = [FILTERS[name] for name in listing.filters if name != "overdue"]
    values = {**listing.filters, "overdue_before": overdue_before, "most": limit + 1}
    if "mrn" in values:
        values["mrn"] = comparable(values["mrn"])
    if after is not None:
        conditions.append(f"({column}, id) {'<' if descending else '>'} (%(after_at)s, %(after_id)s)")
        values["after_at"], values["after_id"] = after
    overdue = listing.filters.get("overdue")
    within, outside = _by_usual_times(column, listing.filters)
    unusual = [(*conditions, *_being(None, overdue), UNUSUAL, where) for where in outside]
    walks = [(*conditions, *_being(status, overdue), *within) for status in _statuses(listing.filters)] + unusual
    order: LiteralString = f"ORDER BY {column} {direction}, id {direction} LIMIT %(most)s"
    selects: list[LiteralString] = [
        f"SELECT {_COLUMNS} FROM appointments WHERE {' AND '.join(walk) or 'true'} {order}"  # noqa: S608 (constants)
        for walk in walks
    ]
    if len(selects) == 1:
        return selects[0], values
    merged: LiteralString = ") UNION ALL (".join(selects)
    return f"SELECT {_COLUMNS} FROM (({merged})) AS merged {order}", values  # noqa: S608 (constants)


def _statuses(filters: Mapping[str, Any]) -> Sequence[LiteralString | None]:
    """Say by which statuses to walk: None where an index finds the rows without."""
    if (
        "status" in filters
        or filters.keys() & _FOUND_ANYHOW
        or filters.get("submission", Submission.ACCEPTED) != Submission.ACCEPTED
    ):
        return [None]
    return ["processing"] if filters.get("overdue") else ["processing", "created", "failed"]


def _being(status: LiteralString | None, overdue: bool | None) -> tuple[LiteralString, ...]:  # noqa: FBT001 (a filter)
    """Write the conditions for a status, and for being overdue, which nothing is that does not process."""
    if status is None:
        return () if overdue is None else (FILTERS["overdue"],)
    if overdue is None or status != "processing":
        return (f"status = '{status}'",)
    return (f"status = '{status}'", f"requested_at {'<' if overdue else '>='} %(overdue_before)s")


def _by_usual_times(
    column: LiteralString, filters: Mapping[str, Any]
) -> tuple[Sequence[LiteralString], Sequence[LiteralString]]:
    """Say between which times of a column the usual rows are that the filters let through, and what lies outside."""
    gaps = {of: gap for (by, of), gap in _USUAL.items() if by == column}
    begins: list[LiteralString] = [
        f"%({of}_from)s - interval '{before}'" for of, (before, _) in gaps.items() if f"{of}_from" in filters
    ]
    ends: list[LiteralString] = [
        f"%({of}_to)s + interval '{after}'" for of, (_, after) in gaps.items() if f"{of}_to" in filters
    ]
    begin: LiteralString = f"greatest({', '.join(begins)})"
    end: LiteralString = f"least({', '.join(ends)})"
    within: list[LiteralString] = []
    outside: list[LiteralString] = []
    if ends:
        within.append(f"{column} < {end}")
        outside.append(f"{column} >= {end}")
    if begins:
        within.append(f"{column} >= {begin}")
        outside.append(f"{column} < least({', '.join([begin, *ends])})")
    return within, outside
