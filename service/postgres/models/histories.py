"""What happened to appointments: calls to Cobalt, corrections, decisions, rows of files."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from service.domain.submission import CallOutcome
from service.postgres.models.base import NOW, Base


class Call(Base):
    """One call to Cobalt on behalf of an appointment, written down before it is made."""

    __tablename__ = "submissions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    appointment_id: Mapped[str] = mapped_column(ForeignKey("appointments.id"))
    attempt: Mapped[int]
    try_: Mapped[int] = mapped_column("try", comment="Counts the calls of this attempt from 1")
    operation: Mapped[str]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(comment="Null while in flight, or if the worker died in it")
    outcome: Mapped[str | None] = mapped_column(comment="Null while in flight; lost when the worker died in it")
    http_status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(comment="Where Cobalt refused it, in Cobalt's words")
    cobalt_appointment_id: Mapped[str | None] = mapped_column(
        comment="Cobalt's answer. Not the appointment's, where the outcome is accepted_late"
    )

    __table_args__ = (
        CheckConstraint("operation IN ('create', 'correct')", name="operation"),
        Index("uq_submissions_appointment_id_attempt_try", "appointment_id", "attempt", "try", unique=True),
        Index(
            "ix_submissions_accepted_late",
            "ended_at",
            postgresql_where=text(f"outcome = '{CallOutcome.ACCEPTED_LATE}'"),
        ),
    )


class Correction(Base):
    """A person's change to a failed request, or the wish to try it once more as it is. Each begins an attempt."""

    __tablename__ = "corrections"

    appointment_id: Mapped[str] = mapped_column(ForeignKey("appointments.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, comment="The attempt that it began")
    at: Mapped[datetime]
    changes: Mapped[dict[str, Any]] = mapped_column(comment="Field -> new value; empty for a resubmission")
    before: Mapped[dict[str, Any]] = mapped_column(comment="The failure that it answers, and the fields' old values")
    key_id: Mapped[str | None] = mapped_column(comment="Whose API key it was")
    request_id: Mapped[str]


class Decision(Base):
    """What a person or the worker decided about an appointment where no event and no reply of Cobalt's did."""

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    appointment_id: Mapped[str] = mapped_column(ForeignKey("appointments.id"))
    attempt: Mapped[int]
    at: Mapped[datetime]
    decision: Mapped[str]
    source: Mapped[str]
    decided_by: Mapped[str | None] = mapped_column(comment="The person: the OS user at the command line")
    why: Mapped[str | None] = mapped_column(comment="In the person's words; may hold patients' data")
    cobalt_appointment_ids: Mapped[list[str]] = mapped_column(
        server_default=text("'{}'"),
        comment="Adopted: the id that it has now. Abandoned: the ids that are not its own. Dismissed: the id that is",
    )

    __table_args__ = (
        CheckConstraint("decision IN ('adopted', 'abandoned', 'gave_up', 'reassigned', 'dismissed')", name="decision"),
        CheckConstraint("source IN ('person', 'worker')", name="source"),
        CheckConstraint("(source = 'person') = (decided_by IS NOT NULL)", name="a_person_has_a_name"),
        Index("ix_decisions_appointment_id", "appointment_id"),
    )


class ImportedRow(Base):
    """Which row of a file an appointment was asked for by: the same row asks for nothing more."""

    __tablename__ = "imported_rows"

    digest: Mapped[bytes] = mapped_column(
        primary_key=True, comment="SHA-256 of account, patient, start, provider, location and type"
    )
    copy: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, comment="Counts from 1 how often it was asked for on purpose"
    )
    appointment_id: Mapped[str] = mapped_column(ForeignKey("appointments.id"))
    imported_at: Mapped[datetime] = mapped_column(server_default=NOW)
    imported_by: Mapped[str] = mapped_column(comment="The OS user at the command line")

    __table_args__ = (Index("ix_imported_rows_appointment_id", "appointment_id"),)
