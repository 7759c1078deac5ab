"""Queries on who saw patients' data unmasked. The table takes new rows only: triggers refuse everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import or_, select

from service.errors import ReadNotRecordedError
from service.postgres.engine import is_away
from service.postgres.models import PhiRead
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

logger = log.get_logger(__name__)

_RECORD = """
INSERT INTO phi_reads (key_id, reader, request_id, operation, filters, record_ids) VALUES (%s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class Access:
    """One request, or one command, that shows patients' data unmasked.

    Args:
        reader: The key's name, or the OS user at the command line.
        operation: Method and route, or the command.
        key_id: The API key; None at the command line.
        request_id: Of the HTTP request.
        filters: The names of the filters of a list; never their values.
    """

    reader: str
    operation: str
    key_id: str | None = None
    request_id: str | None = None
    filters: tuple[str, ...] = ()

    def record(self, connection: psycopg.Connection[Any], ids: Iterable[str]) -> None:
        """Record which records are shown; nothing where there are none.

        The data may leave once this is committed, and not before: at once on a connection that is in no transaction.
        A stream records each page before it sends it.

        Args:
            connection: To a database that takes writes.
            ids: Of the appointments, events and quarantined records.

        Raises:
            ReadNotRecordedError: It could not be recorded; the data must not leave.
        """
        shown = list(dict.fromkeys(ids))
        if not shown:
            return
        try:
            connection.execute(
                _RECORD, (self.key_id, self.reader, self.request_id, self.operation, list(self.filters), shown)
            )
        except psycopg.Error as error:
            if is_away(error):
                raise  # the transaction says so
            logger.exception("a read of patients' data could not be recorded: it is not answered")
            raise ReadNotRecordedError("reads of patients' data cannot be recorded, so none are answered") from error


def list_reads(
    session: Session,
    *,
    key: str | None = None,
    record_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int,
) -> Sequence[PhiRead]:
    """List reads, newest first.

    Args:
        key: A key's id, or the name of a reader.
        record_id: An appointment, event or quarantined record that was shown.
        since: At this time or later.
        until: Before this time.
        limit: How many at most.
    """
    query = select(PhiRead).order_by(PhiRead.at.desc(), PhiRead.id.desc()).limit(limit)
    if key is not None:
        query = query.where(or_(PhiRead.key_id == key, PhiRead.reader == key))
    if record_id is not None:
        query = query.where(PhiRead.record_ids.contains([record_id]))
    if since is not None:
        query = query.where(PhiRead.at >= since)
    if until is not None:
        query = query.where(PhiRead.at < until)
    return session.scalars(query).all()
