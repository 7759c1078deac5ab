"""A whole list of appointments as one CSV file, read and sent a piece at a time.

Nothing is held in the database between the pieces: a caller who reads slowly keeps no connection from the others, and
no old version of a row from being removed. What breaks in the middle breaks the connection off, so that a part is
never taken for the whole.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from itertools import chain, islice
from typing import TYPE_CHECKING

from flask import Response, request
from werkzeug.exceptions import HTTPVersionNotSupported

from service.errors import BusyError
from service.postgres.engine import autocommit
from service.postgres.queries import appointment_views
from service.telemetry import log
from service.web.policy import context
from service.web.views import representation
from service.web.views.appointment_csv import CONTENT_TYPE, csv_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from service.postgres.queries.appointment_views import AppointmentRow, Listing
    from service.postgres.queries.audit import Access

ROWS_AT_ONCE = 1000
FILES_AT_ONCE = 4
"""In one process: each takes a worker for as long as its caller reads, and others must get through too."""

HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept",
    "Content-Disposition": 'attachment; filename="appointments.csv"',
}

_slots = threading.BoundedSemaphore(FILES_AT_ONCE)
logger = log.get_logger(__name__)


def csv_file(
    listing: Listing,
    *,
    after: tuple[datetime, str] | None,
    names: Sequence[str],
    access: Access | None,
    keep: Callable[[AppointmentRow], bool] | None,
    beginning: str,
    overdue_before: datetime,
) -> Response:
    """Answer a whole list as CSV.

    Args:
        listing: Which appointments, and in what order.
        after: Where to begin; None for the beginning.
        names: The top-level names that become columns.
        access: Who sees patients' data, to be recorded; None for a caller who does not.
        keep: See ``appointment_views.list_appointments``.
        beginning: See ``csv_pieces``.
        overdue_before: What was asked for earlier than this and still processes is overdue.

    Raises:
        BusyError: As many files as may be are being sent.
        DatabaseUnavailableError: PostgreSQL is away, and nothing was sent.
        HTTPVersionNotSupported: In HTTP/1.0 the end of a connection is the end of the file, whatever ended it.
    """
    if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        raise HTTPVersionNotSupported
    if not _slots.acquire(blocking=False):
        raise BusyError("as many files as may be are being sent; ask again in a while")
    with ExitStack() as stack:
        stack.callback(_slots.release)
        rows = _rows(context.engine(), listing, after, overdue_before, access=access, keep=keep)
        first = list(islice(rows, 1))  # what goes wrong until here has an answer of its own
        shown = (
            representation.appointment(row, unmasked=access is not None, overdue_before=overdue_before)
            for row in chain(first, rows)
        )
        free = stack.pop_all().close  # once, however often it is called
        pieces = _guarded(csv_pieces(shown, names, unmasked=access is not None, beginning=beginning), free)
        response = Response(pieces, headers=HEADERS, content_type=CONTENT_TYPE)
        response.call_on_close(free)  # where nobody reads even the beginning
    return response


def _guarded(pieces: Iterator[str], at_the_end: Callable[[], None]) -> Iterator[str]:
    try:
        yield from pieces
    except Exception:
        logger.exception("a file broke off")
        raise
    finally:
        at_the_end()


def _rows(
    engine: Engine,
    listing: Listing,
    after: tuple[datetime, str] | None,
    overdue_before: datetime,
    *,
    access: Access | None,
    keep: Callable[[AppointmentRow], bool] | None,
) -> Iterator[AppointmentRow]:
    """Read row after row, when the request is no longer there to be asked anything; who sees them is recorded first."""
    while True:
        with autocommit(engine) as connection:
            page = appointment_views.list_appointments(
                connection, listing, after=after, limit=ROWS_AT_ONCE, overdue_before=overdue_before, keep=keep
            )
            if access is not None:
                access.record(connection, [row.id for row in page.rows])
        yield from page.rows
        if page.last is None:
            return
        after = page.last
