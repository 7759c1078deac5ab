"""The tables. People with SQL access read them too: a change is a migration and a line in the changelog."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, LiteralString

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, validates

from service.domain.comparing import comparable

NOW = text("now()")

UNUSUAL: LiteralString = (
    "(updated_at - created_at > interval '1 day' OR created_at - updated_at > interval '1 day'"
    " OR starts_at - created_at > interval '60 days' OR created_at - starts_at > interval '1 day')"
)
"""Which appointments changed long after they were asked for, or start long after it, or before. Most are settled within
minutes and begin within weeks: what is known of those is said in ``store.appointment_views``."""


class Base(DeclarativeBase):
    """All our tables; every constraint has a name, so that an error can be recognised by it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),  # None is no value, and not the value null
        list[str]: ARRAY(Text),
    }


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

    submission: Mapped[str] = mapped_column(server_default="queued")
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
        CheckConstraint(
            "submission IN ('queued', 'sending', 'accepted', 'unconfirmed', 'rejected')", name="submission"
        ),
        CheckConstraint("(status = 'failed') = (failure IS NOT NULL)", name="failed_has_a_failure"),
        CheckConstraint("(status = 'created') = (confirmation IS NOT NULL)", name="created_is_confirmed"),
        CheckConstraint("(status = 'processing') = (settled_at IS NULL)", name="settled_has_a_time"),
        CheckConstraint("submission <> 'sending' OR lease_until IS NOT NULL", name="sending_has_a_lease"),
        CheckConstraint("submission <> 'accepted' OR cobalt_appointment_id IS NOT NULL", name="accepted_has_an_id"),
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
                ("queued", "status = 'processing' AND submission = 'queued'"),
                ("awaited", "status = 'processing' AND submission IN ('accepted', 'unconfirmed')"),
                ("unconfirmed", "submission = 'unconfirmed'"),
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
                ("submission_created_at", ("submission", "created_at"), "submission <> 'accepted'"),
                ("submission_updated_at", ("submission", "updated_at"), "submission <> 'accepted'"),
                ("unusual_created_at", ("created_at", "updated_at", "starts_at"), UNUSUAL),
                ("unusual_updated_at", ("updated_at", "created_at", "starts_at"), UNUSUAL),
            )
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
    cobalt_appointment_id: Mapped[str | None]
    mrn: Mapped[str | None] = mapped_column(comment="The patient's, as MRNs are compared: payload has it as it came")
    occurred_at: Mapped[datetime] = mapped_column(comment="On Cobalt's clock")
    received_at: Mapped[datetime]
    source: Mapped[str]
    payload: Mapped[dict[str, Any]]
    raw: Mapped[bytes | None] = mapped_column(comment="The exact bytes, only where payload could not keep them")

    __table_args__ = (
        CheckConstraint(
            "disposition IN ('applied', 'superseded', 'unmatched', 'ignored')",
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


class Submission(Base):
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
        Index("ix_submissions_accepted_late", "ended_at", postgresql_where=text("outcome = 'accepted_late'")),
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


class PhiRead(Base):
    """Who saw patients' data unmasked, and when (HIPAA 164.312(b)). Triggers refuse every change and removal."""

    __tablename__ = "phi_reads"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW, comment="On PostgreSQL's clock, which all processes share")
    key_id: Mapped[str | None] = mapped_column(comment="The API key; null at the command line")
    reader: Mapped[str] = mapped_column(comment="The key's name at the time; at the command line the OS user")
    request_id: Mapped[str | None]
    operation: Mapped[str] = mapped_column(comment="Method and route, or the command")
    filters: Mapped[list[str]] = mapped_column(comment="The names of the filters of a list, without their values")
    record_ids: Mapped[list[str]] = mapped_column(
        comment="Appointments, events and quarantined records that were shown"
    )

    __table_args__ = (
        Index("ix_phi_reads_at", "at"),
        Index("ix_phi_reads_key_id_at", "key_id", "at"),
        # What is not sorted in yet is kept short: sorting in 4 MB of it, the default, holds one read up for 0.4 s.
        Index(
            "ix_phi_reads_record_ids",
            "record_ids",
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": "256"},
        ),
    )


class IdempotencyKey(Base):
    """The first answer to a write, kept to be given again."""

    __tablename__ = "idempotency_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True, comment="The API key that it belongs to")
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(comment="SHA-256 of method, path and body")
    meaning: Mapped[bytes | None] = mapped_column(
        comment="SHA-256 of method, path and what the body says in JSON, however that is written"
    )
    http_status: Mapped[int]
    headers: Mapped[dict[str, Any]]
    body: Mapped[dict[str, Any]] = mapped_column(JSON, comment="Not jsonb, which would change the order and numbers")
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ix_idempotency_keys_expires_at", "expires_at"),)


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


class Account(Base):
    """A linked EHR account at Cobalt."""

    __tablename__ = "accounts"

    name: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True, comment="Cobalt's access_token_reference_id")
    access_token: Mapped[bytes] = mapped_column(comment="Encrypted with the first of ENCRYPTION_KEYS")
    time_format: Mapped[str] = mapped_column(server_default="as_given")
    timezone: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("time_format IN ('as_given', '12_hour', 'datetime')", name="time_format"),
        CheckConstraint("time_format <> 'datetime' OR timezone IS NOT NULL", name="datetime_has_a_timezone"),
    )


class AccountReference(Base):
    """What Cobalt calls an account beside ``accounts.reference``: what it called it before, or what a person said."""

    __tablename__ = "account_references"

    account: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True, comment="Cobalt's access_token_reference_id")
    added_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ApiKey(Base):
    """A key to the API. Only a hash of it is kept: it is random, so SHA-256 will do."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    wrote_at: Mapped[datetime | None] = mapped_column(
        comment="About when it last wrote, kept only beside a replica: its reads stay off that for a while"
    )

    __table_args__ = (
        CheckConstraint("scopes <@ ARRAY['read', 'phi', 'write', 'ops'] AND cardinality(scopes) > 0", name="scopes"),
    )


class AppointmentCount(Base):
    """How many appointments were asked for in a stretch of time, by what is to be said of them now.

    Up to what still waits in ``appointment_count_deltas``: the truth is the sum of both.
    """

    __tablename__ = "appointment_counts"

    per: Mapped[str] = mapped_column(primary_key=True, comment="Each appointment counts once an hour, a day, and ever")
    starts_at: Mapped[datetime] = mapped_column(primary_key=True, comment="Of the hour or day, UTC; 1970 for ever")
    account: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    submission: Mapped[str] = mapped_column(primary_key=True)
    failure_category: Mapped[str] = mapped_column(primary_key=True, comment="Empty for none")
    count: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint("per IN ('hour', 'day', 'ever')", name="per"),)


class OutcomeCount(Base):
    """How many outcomes were learned in a stretch of time, and how long after the request: a histogram."""

    __tablename__ = "outcome_counts"

    per: Mapped[str] = mapped_column(primary_key=True, comment="Each outcome counts once an hour and once a day")
    starts_at: Mapped[datetime] = mapped_column(primary_key=True, comment="Of the hour or day, UTC")
    account: Mapped[str] = mapped_column(primary_key=True)
    learned_from: Mapped[str] = mapped_column(primary_key=True, comment="Empty where no event told it")
    took: Mapped[int] = mapped_column(
        SmallInteger, primary_key=True, comment="n for 1.1^n to 1.1^(n+1) seconds from the request to its outcome"
    )
    count: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint("per IN ('hour', 'day')", name="per"),)


class ChangeMark(Base):
    """How far the numbers of changes had got for certain: what a new timeline shares with the one before."""

    __tablename__ = "change_marks"

    database: Mapped[str] = mapped_column(
        primary_key=True, comment="The cluster's system identifier and the database's oid"
    )
    timeline: Mapped[int] = mapped_column(
        primary_key=True, comment="A fail-over or a restore to a point in time begins one"
    )
    reached: Mapped[int] = mapped_column(
        BigInteger, comment="Every transaction before this one had ended when this was written"
    )
    at: Mapped[datetime] = mapped_column(server_default=NOW)


APPOINTMENT_COUNT_DELTAS = Table(
    "appointment_count_deltas",
    Base.metadata,
    Column("asked_hour", DateTime(timezone=True), nullable=False),
    Column("account", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("submission", Text, nullable=False),
    Column("failure_category", Text),
    Column("settled_hour", DateTime(timezone=True)),
    Column("learned_from", Text),
    Column("took", SmallInteger),
    Column("count", BigInteger, nullable=False),
    comment="Written by triggers on appointments, and folded into the counts by the worker: writers share no row",
)

UNMATCHED_COUNTS = Table(
    "unmatched_counts",
    Base.metadata,
    Column("count", BigInteger, nullable=False),
    comment="Their sum is how many events are unmatched; written by triggers, and folded into one by the worker",
)
