"""Appointments: the row of each, and the index of every list."""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, text
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column, validates

from service.domain.comparing import comparable
from service.domain.submission import FIRST, Submission
from service.postgres.conditions import IS_AWAITED, IS_NOT_ACCEPTED, IS_QUEUED, IS_UNCONFIRMED, quoted
from service.postgres.models.base import NOW, Base

UNUSUAL: LiteralString = (
    "(updated_at - created_at > interval '1 day' OR created_at - updated_at > interval '1 day'"
    " OR starts_at - created_at > interval '60 days' OR created_at - starts_at > interval '1 day')"
)
"""Which appointments changed long after they were asked for, or start long after it, or before. Most are settled within
minutes and begin within weeks: what is known of those is said in ``queries.appointment_views``."""


class Appointment(Base):
    """One request of ours and what became of it. The row is also the outbox of its submission."""

    __tablename__ = "appointments"

    id: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="processing")
    attempt: Mapped[int] = mapped_column(server_default="1")
    attempt_since: Mapped[datetime | None] = mapped_column(
        comment="When Cobalt took the current attempt, on its clock; null while nobody knows"
    )
    version: Mapped[int] = mapped_column(server_default="1")

    request: Mapped[dict[str, Any]] = mapped_column(comment="Cobalt's fields as the caller gave them")
    mrn: Mapped[str]
    mrn_key: Mapped[str | None] = mapped_column(
        comment="The MRN as MRNs are compared, where that is not how it was given"
    )
    former_mrns: Mapped[list[str]] = mapped_column(
        server_default=text("'{}'"), comment="MRNs of earlier attempts: texts may contain them, and are masked"
    )
    provider: Mapped[str]
    type: Mapped[str]
    starts_local: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=False), comment="The start asked for, on the clinic's wall clock"
    )
    starts_at: Mapped[datetime | None] = mapped_column(comment="The start, confirmed or asked for with an offset")
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    details_as_given: Mapped[dict[str, Any] | None] = mapped_column(
        "metadata_as_given",
        JSON(none_as_null=True),
        comment="The caller's own as it came, where metadata, being jsonb, writes a number of it in another way",
    )
    request_id: Mapped[str] = mapped_column(comment="Of the API call that asked for the current attempt")

    cobalt_appointment_id: Mapped[str | None]
    cobalt_job_id: Mapped[str | None]

    submission: Mapped[str] = mapped_column(server_default=FIRST.value)
    tries: Mapped[int] = mapped_column(server_default="0", comment="Calls to Cobalt in the current attempt")
    last_error: Mapped[str | None]
    due_at: Mapped[datetime] = mapped_column(server_default=NOW, comment="When the worker looks at it next")
    lease_until: Mapped[datetime | None] = mapped_column(comment="Until when the call in flight is believed in")
    sent_at: Mapped[datetime | None] = mapped_column(comment="When the latest call to Cobalt began")
    accepted_at: Mapped[datetime | None]

    accepted_request: Mapped[dict[str, Any] | None] = mapped_column(
        comment="The fields that Cobalt has taken: a correction sends what differs from them"
    )
    asks: Mapped[int] = mapped_column(server_default="0", comment="How often Cobalt was asked about this attempt")
    candidates: Mapped[list[str]] = mapped_column(
        server_default=text("'{}'"), comment="Ids at Cobalt that may be this one's, when a person has to choose"
    )

    ruling_event_id: Mapped[str | None] = mapped_column(comment="The event that the status rests on")
    ruling_at: Mapped[datetime | None] = mapped_column(comment="When that happened, on Cobalt's clock")
    failures: Mapped[int] = mapped_column(server_default="0", comment="Failed events of the current attempt")
    confirmation: Mapped[dict[str, Any] | None]
    failure_category: Mapped[str | None]
    failure: Mapped[dict[str, Any] | None]
    discrepancies: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    learned_from: Mapped[str | None] = mapped_column(
        comment="How the event came that the status rests on; null where there is none, or it is older than this column"
    )

    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
    requested_at: Mapped[datetime] = mapped_column(
        server_default=NOW, comment="When a person asked for the current attempt"
    )
    settled_at: Mapped[datetime | None]
    changed_in: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("((pg_current_xact_id())::text)::bigint"),
        comment="The transaction that made this version; set by a trigger",
    )

    __table_args__ = (
        CheckConstraint("status IN ('processing', 'created', 'failed')", name="status"),
        CheckConstraint(f"submission IN ({quoted(Submission)})", name="submission"),
        CheckConstraint("(status = 'failed') = (failure IS NOT NULL)", name="failed_has_a_failure"),
        CheckConstraint("(status = 'created') = (confirmation IS NOT NULL)", name="created_is_confirmed"),
        CheckConstraint("(status = 'processing') = (settled_at IS NULL)", name="settled_has_a_time"),
        CheckConstraint(f"submission <> '{Submission.SENDING}' OR lease_until IS NOT NULL", name="sending_has_a_lease"),
        CheckConstraint(
            f"submission <> '{Submission.ACCEPTED}' OR cobalt_appointment_id IS NOT NULL", name="accepted_has_an_id"
        ),
        CheckConstraint("learned_from IN ('webhook', 'poll', 'spool', 'replay')", name="learned_from"),
        Index(
            "uq_appointments_cobalt_appointment_id",
            "cobalt_appointment_id",
            unique=True,
            postgresql_where=text("cobalt_appointment_id IS NOT NULL"),
        ),
        # What is still to be done is always few: small indexes, however many rows are settled. By account, so that much
        # that waits for one is not in the way to the others.
        *(
            Index(f"ix_appointments_{name}", "account", "due_at", postgresql_where=text(where))
            for name, where in (
                (Submission.QUEUED, IS_QUEUED),
                ("awaited", IS_AWAITED),
                (Submission.UNCONFIRMED, IS_UNCONFIRMED),
            )
        ),
        Index("ix_appointments_processing", "requested_at", postgresql_where=text("status = 'processing'")),
        Index("ix_appointments_changed_in_id", "changed_in", "id"),
        # For what is past its time.
        Index("ix_appointments_settled_at", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
        # The lists: docs/decisions says why these. Each filter has both sorts, by status. What trails the time is read
        # in the index, so that rows which do not match are not fetched; ties of a time are few, and sorted by id.
        Index("ix_appointments_status_created_at", "status", "created_at", "starts_at"),
        Index("ix_appointments_status_updated_at", "status", "updated_at", "starts_at", "created_at"),
        Index("ix_appointments_account_status_created_at", "account", "status", "created_at"),
        Index("ix_appointments_account_status_updated_at", "account", "status", "updated_at"),
        Index("ix_appointments_provider_status_created_at", "provider", "status", "created_at", "starts_at"),
        Index("ix_appointments_provider_status_updated_at", "provider", "status", "updated_at", "starts_at"),
        Index("ix_appointments_type_status_created_at", "type", "status", "created_at"),
        Index("ix_appointments_type_status_updated_at", "type", "status", "updated_at"),
        Index("ix_appointments_mrn", "mrn"),
        Index("ix_appointments_mrn_key", "mrn_key", postgresql_where=text("mrn_key IS NOT NULL")),
        Index("ix_appointments_starts_at", "starts_at", postgresql_where=text("starts_at IS NOT NULL")),
        *(
            Index(f"ix_appointments_{name}", *columns, postgresql_where=text(where))
            for name, columns, where in (
                ("failure_category_created_at", ("failure_category", "created_at"), "failure_category IS NOT NULL"),
                ("failure_category_updated_at", ("failure_category", "updated_at"), "failure_category IS NOT NULL"),
                ("submission_created_at", ("submission", "created_at"), IS_NOT_ACCEPTED),
                ("submission_updated_at", ("submission", "updated_at"), IS_NOT_ACCEPTED),
                ("unusual_created_at", ("created_at", "updated_at", "starts_at"), UNUSUAL),
                ("unusual_updated_at", ("updated_at", "created_at", "starts_at"), UNUSUAL),
            )
        ),
        Index(
            "ix_appointments_failure_codes",
            text("failure_codes(failure)"),
            postgresql_using="gin",
            postgresql_where=text("failure IS NOT NULL"),
        ),
        Index(
            "ix_appointments_discrepancies",
            "discrepancies",
            postgresql_using="gin",
            postgresql_where=text("discrepancies <> '{}'"),
        ),
    )

    @validates("mrn")
    def _keep_key(self, _name: str, mrn: str) -> str:
        key = comparable(mrn)
        self.mrn_key = None if key == mrn else key
        return mrn
