"""Cobalt's events, their deliveries, and what could not be read as one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from service.postgres.models.base import Base


class Event(Base):
    """What Cobalt said, once for each of its event ids."""

    __tablename__ = "events"

    id: Mapped[str] = mapped_column(primary_key=True, comment="Cobalt's")
    type: Mapped[str]
    disposition: Mapped[str]
    appointment_id: Mapped[str | None] = mapped_column(ForeignKey("appointments.id"))
    account_reference: Mapped[str | None]
    of_another_account: Mapped[bool | None] = mapped_column(
        comment="True when the appointment with this id at Cobalt is of another account: the event settles nothing"
    )
    repeats: Mapped[str | None] = mapped_column(
        comment="The event, under another id, that had told this outcome of this attempt before: the two count once"
    )
    cobalt_appointment_id: Mapped[str | None]
    mrn: Mapped[str | None] = mapped_column(comment="The patient's, as MRNs are compared: payload has it as it came")
    occurred_at: Mapped[datetime] = mapped_column(comment="On Cobalt's clock")
    received_at: Mapped[datetime]
    source: Mapped[str]
    payload: Mapped[dict[str, Any]]
    raw: Mapped[bytes | None] = mapped_column(comment="The exact bytes, only where payload could not keep them")

    __table_args__ = (
        CheckConstraint(
            "disposition IN ('applied', 'superseded', 'unmatched', 'ignored', 'noted')",
            name="disposition",
        ),
        CheckConstraint("source IN ('webhook', 'poll', 'spool', 'replay')", name="source"),
        Index("ix_events_appointment_id", "appointment_id", postgresql_where=text("appointment_id IS NOT NULL")),
        Index("ix_events_unmatched", "cobalt_appointment_id", postgresql_where=text("disposition = 'unmatched'")),
        Index("ix_events_unmatched_received_at", "received_at", postgresql_where=text("disposition = 'unmatched'")),
        Index(
            "ix_events_of_another_account",
            "received_at",
            postgresql_where=text("of_another_account IS TRUE AND disposition = 'unmatched'"),
        ),
        Index(
            "ix_events_unmatched_mrn",
            "mrn",
            postgresql_where=text("disposition = 'unmatched'"),
        ),
        # For lists of events. Most events are applied webhooks of known appointments, and are in the first only.
        Index("ix_events_received_at", "received_at"),
        Index(
            "ix_events_disposition_received_at_type",
            "disposition",
            "received_at",
            "type",
            postgresql_where=text("disposition <> 'applied'"),
        ),
        Index("ix_events_source_received_at", "source", "received_at", postgresql_where=text("source <> 'webhook'")),
        Index(
            "ix_events_nobodys_cobalt_appointment_id",
            "cobalt_appointment_id",
            postgresql_where=text("appointment_id IS NULL AND cobalt_appointment_id IS NOT NULL"),
        ),
    )


class Delivery(Base):
    """One arrival of an event."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[str]
    received_at: Mapped[datetime]
    source: Mapped[str]
    disposition: Mapped[str] = mapped_column(comment="What this delivery was answered")
    request_id: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("source IN ('webhook', 'poll', 'spool', 'replay')", name="source"),
        Index("ix_deliveries_event_id", "event_id"),
    )


class Quarantined(Base):
    """Authentic bytes that could not be taken as an event, and why."""

    __tablename__ = "quarantine"

    id: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[datetime]
    source: Mapped[str]
    reason: Mapped[str]
    raw: Mapped[bytes]
    digest: Mapped[bytes] = mapped_column(comment="SHA-256 of raw: the same bytes are kept once")
    deliveries: Mapped[int] = mapped_column(server_default="1")
    replayed_at: Mapped[datetime | None]
    event_id: Mapped[str | None] = mapped_column(comment="The event that a replay made of it")
    contradicts: Mapped[str | None] = mapped_column(
        comment="The event that came before under its id, with another body"
    )
    said_digest: Mapped[bytes | None] = mapped_column(comment="SHA-256 of what it says, however that is written")
    recorded_digest: Mapped[bytes | None] = mapped_column(comment="The same of the event that it contradicts")
    dismissed_at: Mapped[datetime | None] = mapped_column(comment="When a person said that it needs nothing more")
    decided_by: Mapped[str | None] = mapped_column(comment="Who dismissed it, or took it as an event of its own")

    __table_args__ = (
        Index("uq_quarantine_digest", "digest", unique=True),
        Index(
            "ix_quarantine_waiting",
            "received_at",
            postgresql_where=text("replayed_at IS NULL AND dismissed_at IS NULL"),
        ),
    )
