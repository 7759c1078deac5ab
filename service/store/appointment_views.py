"""Reads of appointments: they lock nothing and change nothing.

The statements go to the driver, for a page of rows through SQLAlchemy costs several times the page itself; and each is
planned for the values that it was given, which differ too much for one plan: an account may hold most rows, or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg.rows import args_row

from service.comparing import comparable
from service.errors import NotFoundError

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
    """Write the query for a page, which asks for one row more than the page holds: is there another page?"""
    column, descending = SORTS[listing.sort]
    direction: LiteralString = "DESC" if descending else "ASC"
    conditions = [FILTERS[name] for name in listing.filters]
    values = {**listing.filters, "overdue_before": overdue_before, "most": limit + 1}
    if "mrn" in values:
        values["mrn"] = comparable(values["mrn"])
    if column == "updated_at" and "created_from" in listing.filters:
        # Nothing changes before it is asked for, which says where to begin in the index; a day, for clocks differ.
        conditions.append("updated_at >= %(created_from)s - interval '1 day'")
    if after is not None:
        conditions.append(f"({column}, id) {'<' if descending else '>'} (%(after_at)s, %(after_id)s)")
        values["after_at"], values["after_id"] = after
    where: LiteralString = " AND ".join(conditions) or "true"
    query: LiteralString = (
        f"SELECT {_COLUMNS} FROM appointments WHERE {where}"  # noqa: S608 (constants; the values are parameters)
        f" ORDER BY {column} {direction}, id {direction} LIMIT %(most)s"
    )
    return query, values
