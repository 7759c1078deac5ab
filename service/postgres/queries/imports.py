"""Queries on rows of files that appointments were asked for by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, text, tuple_

from service.postgres.models import Appointment, ImportedRow

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Known:
    """What a row of a file has asked for already.

    Args:
        copy: How often it has; the rest is about the latest.
    """

    copy: int
    appointment_id: str
    status: str
    failure_category: str | None
    imported_at: datetime


def lock(session: Session) -> None:
    """Have imports come one after the other, each for one transaction: two of one file must not both find nothing."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('cobalt-appointments imports', 0))"))


def find_known(session: Session, digests: Collection[bytes]) -> dict[bytes, Known]:
    """Find what rows have asked for already, by their digests."""
    query = (
        select(ImportedRow, Appointment.status, Appointment.failure_category)
        .join(Appointment, Appointment.id == ImportedRow.appointment_id)
        .where(ImportedRow.digest.in_(digests))
        .order_by(ImportedRow.copy)  # the latest comes last, and stays
    )
    return {
        row.digest: Known(row.copy, row.appointment_id, status, category, row.imported_at)
        for row, status, category in session.execute(query)
    }


def find_same_start(
    session: Session, starts: Collection[tuple[str, str, datetime]]
) -> dict[tuple[str, str, datetime], str]:
    """Find appointments that have not failed, by account, MRN and start on the clinic's clock; returns their ids.

    MRNs are ``comparable``.
    """
    same = (Appointment.account, func.coalesce(Appointment.mrn_key, Appointment.mrn), Appointment.starts_local)
    mrns = [mrn for _, mrn, _ in starts]
    query = select(Appointment.id, *same).where(
        or_(Appointment.mrn.in_(mrns), Appointment.mrn_key.in_(mrns)),  # which there are indexes for
        tuple_(*same).in_(starts),
        Appointment.status != "failed",
    )
    return {(account, mrn, start): id_ for id_, account, mrn, start in session.execute(query) if start}
