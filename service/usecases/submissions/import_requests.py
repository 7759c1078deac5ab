"""Ask for the appointments that a file names, each once.

A row is known by what it asks for, whatever file it stands in. So a run that was broken off is continued by the next
one, and a file that has grown asks for what is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.domain.comparing import comparable
from service.domain.ids import new_id
from service.postgres.engine import transaction
from service.postgres.models import ImportedRow
from service.postgres.queries import imports
from service.usecases.submissions.request_appointment import AppointmentRequest, new_appointment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Engine

    from service.postgres.queries.imports import Known
    from service.usecases.submissions.check_import import WantedRow

BATCH = 200
"""Rows for each transaction, a tenth of a second: one that stays open delays who follows the changes."""


@dataclass(frozen=True, slots=True)
class TakenRow:
    """What became of a row.

    Args:
        line: On which it begins.
        known: What it had asked for before; None if it is new.
        appointment_id: The appointment that it has now; None where that was only asked.
    """

    line: int
    appointment_id: str | None
    known: Known | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with the rows of a file.

    Args:
        known: What rows have asked for, by their digests.
        copy: How often each row is to have asked in the end.
    """

    known: Mapping[bytes, Known]
    copy: int

    def known_of(self, row: WantedRow) -> Known | None:
        """Say what a row has asked for that need not be asked for again."""
        known = self.known.get(row.digest)
        return known if known and known.copy >= self.copy else None

    def outlook(self, row: WantedRow) -> TakenRow:
        """Say what would become of a row."""
        known = self.known_of(row)
        return TakenRow(row.line, known.appointment_id if known else None, known)


def plan_import(engine: Engine, rows: Sequence[WantedRow], *, again: bool) -> Plan:
    """Look up what rows have asked for.

    Args:
        engine: Where.
        rows: All of a file.
        again: Whether each is to ask once more. Where some have asked more often than others, the others catch up
            first: the run in which they began was broken off.
    """
    known: dict[bytes, Known] = {}
    for batch in _batches(rows):
        with transaction(engine) as session:
            known |= imports.find_known(session, [row.digest for row in batch])
    if not again:
        return Plan(known, 1)
    copies = {known[row.digest].copy if row.digest in known else 0 for row in rows}
    return Plan(known, max(copies) + (len(copies) == 1))


def find_same_start(engine: Engine, rows: Sequence[WantedRow]) -> dict[int, str]:
    """Find which rows name a patient and start that an appointment has already: line -> its id."""
    found: dict[int, str] = {}
    for batch in _batches(rows):
        with transaction(engine) as session:
            starts = {(row.account, comparable(row.fields["mrn"]), row.start): row.line for row in batch}
            same = imports.find_same_start(session, starts)
            found |= {starts[start]: appointment_id for start, appointment_id in same.items()}
    return found


def take_rows(engine: Engine, rows: Sequence[WantedRow], *, copy: int, by: str) -> Iterator[list[TakenRow]]:
    """Ask for what rows have not asked for yet; yields batches of rows that are committed.

    Args:
        engine: Where.
        rows: All of a file.
        copy: How often each is to have asked in the end.
        by: Who does it.
    """
    request_id = new_id("req")
    for batch in _batches(rows):
        with transaction(engine) as session:
            imports.lock(session)
            plan = Plan(imports.find_known(session, [row.digest for row in batch]), copy)
            made = {}
            for row in batch:
                if plan.known_of(row) is None:
                    request = AppointmentRequest(
                        fields=row.fields, account=row.account, metadata={}, request_id=request_id
                    )
                    made[row.digest] = new_appointment(row.account, request)
            session.add_all(made.values())
            session.flush()
            session.add_all(
                ImportedRow(digest=digest, copy=copy, appointment_id=appointment.id, imported_by=by)
                for digest, appointment in made.items()
            )
            taken = [
                TakenRow(row.line, made[row.digest].id, None) if row.digest in made else plan.outlook(row)
                for row in batch
            ]
        yield taken


def _batches(rows: Sequence[WantedRow]) -> Iterator[Sequence[WantedRow]]:
    return (rows[first : first + BATCH] for first in range(0, len(rows), BATCH))
