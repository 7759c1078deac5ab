"""Create the tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False, comment="Cobalt's access_token_reference_id"),
        sa.Column(
            "access_token", sa.LargeBinary(), nullable=False, comment="Encrypted with the first of ENCRYPTION_KEYS"
        ),
        sa.Column("time_format", sa.Text(), server_default="as_given", nullable=False),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "time_format <> 'datetime' OR timezone IS NOT NULL", name=op.f("ck_accounts_datetime_has_a_timezone")
        ),
        sa.CheckConstraint("time_format IN ('as_given', '12_hour', 'datetime')", name=op.f("ck_accounts_time_format")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_accounts")),
        sa.UniqueConstraint("reference", name=op.f("uq_accounts_reference")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "scopes <@ ARRAY['read', 'phi', 'write', 'ops'] AND cardinality(scopes) > 0",
            name=op.f("ck_api_keys_scopes"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_table(
        "appointments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="processing", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "attempt_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When Cobalt took the current attempt, on its clock; null while nobody knows",
        ),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "request",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Cobalt's fields as the caller gave them",
        ),
        sa.Column("mrn", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "starts_local", sa.DateTime(), nullable=True, comment="The start asked for, on the clinic's wall clock"
        ),
        sa.Column(
            "starts_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The start, confirmed or asked for with an offset",
        ),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "request_id", sa.Text(), nullable=False, comment="Of the API call that asked for the current attempt"
        ),
        sa.Column("cobalt_appointment_id", sa.Text(), nullable=True),
        sa.Column("cobalt_job_id", sa.Text(), nullable=True),
        sa.Column("submission", sa.Text(), server_default="queued", nullable=False),
        sa.Column(
            "tries", sa.Integer(), server_default="0", nullable=False, comment="Calls to Cobalt in the current attempt"
        ),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the worker looks at it next",
        ),
        sa.Column(
            "lease_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Until when the call in flight is believed in",
        ),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True, comment="When the latest call to Cobalt began"),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "accepted_request",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The fields that Cobalt has taken: a correction sends what differs from them",
        ),
        sa.Column(
            "asks",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="How often Cobalt was asked about this attempt",
        ),
        sa.Column(
            "candidates",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Ids at Cobalt that may be this one's, when a person has to choose",
        ),
        sa.Column("ruling_event_id", sa.Text(), nullable=True, comment="The event that the status rests on"),
        sa.Column(
            "ruling_at", sa.DateTime(timezone=True), nullable=True, comment="When that happened, on Cobalt's clock"
        ),
        sa.Column(
            "failures", sa.Integer(), server_default="0", nullable=False, comment="Failed events of the current attempt"
        ),
        sa.Column("confirmation", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("failure_category", sa.Text(), nullable=True),
        sa.Column("failure", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("discrepancies", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'created') = (confirmation IS NOT NULL)", name=op.f("ck_appointments_created_is_confirmed")
        ),
        sa.CheckConstraint(
            "(status = 'failed') = (failure IS NOT NULL)", name=op.f("ck_appointments_failed_has_a_failure")
        ),
        sa.CheckConstraint(
            "(status = 'processing') = (settled_at IS NULL)", name=op.f("ck_appointments_settled_has_a_time")
        ),
        sa.CheckConstraint("status IN ('processing', 'created', 'failed')", name=op.f("ck_appointments_status")),
        sa.CheckConstraint(
            "submission <> 'accepted' OR cobalt_appointment_id IS NOT NULL",
            name=op.f("ck_appointments_accepted_has_an_id"),
        ),
        sa.CheckConstraint(
            "submission <> 'sending' OR lease_until IS NOT NULL", name=op.f("ck_appointments_sending_has_a_lease")
        ),
        sa.CheckConstraint(
            "submission IN ('queued', 'sending', 'accepted', 'unconfirmed', 'rejected')",
            name=op.f("ck_appointments_submission"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointments")),
    )
    op.create_index(
        "ix_appointments_account_created_at_id", "appointments", ["account", "created_at", "id"], unique=False
    )
    op.create_index("ix_appointments_created_at_id", "appointments", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_appointments_discrepancies",
        "appointments",
        ["discrepancies"],
        unique=False,
        postgresql_using="gin",
        postgresql_where=sa.text("discrepancies <> '{}'"),
    )
    op.create_index(
        "ix_appointments_due",
        "appointments",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.create_index(
        "ix_appointments_failure_category_created_at_id",
        "appointments",
        ["failure_category", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("failure_category IS NOT NULL"),
    )
    op.create_index("ix_appointments_mrn_created_at_id", "appointments", ["mrn", "created_at", "id"], unique=False)
    op.create_index(
        "ix_appointments_sending",
        "appointments",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("submission = 'sending'"),
    )
    op.create_index(
        "ix_appointments_status_created_at_id", "appointments", ["status", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_appointments_unconfirmed",
        "appointments",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("submission = 'unconfirmed'"),
    )
    op.create_index("ix_appointments_updated_at_id", "appointments", ["updated_at", "id"], unique=False)
    op.create_index(
        "uq_appointments_cobalt_appointment_id",
        "appointments",
        ["cobalt_appointment_id"],
        unique=True,
        postgresql_where=sa.text("cobalt_appointment_id IS NOT NULL"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False, comment="What this delivery was answered"),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.CheckConstraint("source IN ('webhook', 'poll', 'spool', 'replay')", name=op.f("ck_deliveries_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_event_id", "deliveries", ["event_id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("key_id", sa.Text(), nullable=False, comment="The API key that it belongs to"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="SHA-256 of method, path and body"),
        sa.Column("http_status", sa.Integer(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of raw: the same bytes are kept once"),
        sa.Column("deliveries", sa.Integer(), server_default="1", nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True, comment="The event that a replay made of it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index("uq_quarantine_digest", "quarantine", ["digest"], unique=True)
    op.create_table(
        "corrections",
        sa.Column("appointment_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="The attempt that it began"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "changes",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Field -> new value; empty for a resubmission",
        ),
        sa.Column(
            "before",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The failure that it answers, and the fields' old values",
        ),
        sa.Column("key_id", sa.Text(), nullable=True, comment="Whose API key it was"),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointments.id"], name=op.f("fk_corrections_appointment_id")),
        sa.PrimaryKeyConstraint("appointment_id", "attempt", name=op.f("pk_corrections")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Text(), nullable=False, comment="Cobalt's"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("appointment_id", sa.Text(), nullable=True),
        sa.Column("account_reference", sa.Text(), nullable=True),
        sa.Column("cobalt_appointment_id", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False, comment="On Cobalt's clock"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "raw", sa.LargeBinary(), nullable=True, comment="The exact bytes, only where payload could not keep them"
        ),
        sa.CheckConstraint(
            "disposition IN ('applied', 'superseded', 'unmatched', 'ignored')", name=op.f("ck_events_disposition")
        ),
        sa.CheckConstraint("source IN ('webhook', 'poll', 'spool', 'replay')", name=op.f("ck_events_source")),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointments.id"], name=op.f("fk_events_appointment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(
        "ix_events_appointment_id",
        "events",
        ["appointment_id"],
        unique=False,
        postgresql_where=sa.text("appointment_id IS NOT NULL"),
    )
    op.create_index(
        "ix_events_unmatched",
        "events",
        ["cobalt_appointment_id"],
        unique=False,
        postgresql_where=sa.text("disposition = 'unmatched'"),
    )
    op.create_index(
        "ix_events_unmatched_mrn",
        "events",
        [sa.literal_column("((payload -> 'data') ->> 'mrn')")],
        unique=False,
        postgresql_where=sa.text("disposition = 'unmatched'"),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("appointment_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("try", sa.Integer(), nullable=False, comment="Counts the calls of this attempt from 1"),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Null while in flight, or if the worker died in it",
        ),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("operation IN ('create', 'correct')", name=op.f("ck_submissions_operation")),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointments.id"], name=op.f("fk_submissions_appointment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
    )
    op.create_index(
        "uq_submissions_appointment_id_attempt_try", "submissions", ["appointment_id", "attempt", "try"], unique=True
    )


def downgrade() -> None:
    op.drop_index("uq_submissions_appointment_id_attempt_try", table_name="submissions")
    op.drop_table("submissions")
    op.drop_index("ix_events_unmatched_mrn", table_name="events", postgresql_where=sa.text("disposition = 'unmatched'"))
    op.drop_index("ix_events_unmatched", table_name="events", postgresql_where=sa.text("disposition = 'unmatched'"))
    op.drop_index(
        "ix_events_appointment_id", table_name="events", postgresql_where=sa.text("appointment_id IS NOT NULL")
    )
    op.drop_table("events")
    op.drop_table("corrections")
    op.drop_index("uq_quarantine_digest", table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_index("ix_idempotency_keys_expires_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_deliveries_event_id", table_name="deliveries")
    op.drop_table("deliveries")
    op.drop_index(
        "uq_appointments_cobalt_appointment_id",
        table_name="appointments",
        postgresql_where=sa.text("cobalt_appointment_id IS NOT NULL"),
    )
    op.drop_index("ix_appointments_updated_at_id", table_name="appointments")
    op.drop_index(
        "ix_appointments_unconfirmed", table_name="appointments", postgresql_where=sa.text("submission = 'unconfirmed'")
    )
    op.drop_index("ix_appointments_status_created_at_id", table_name="appointments")
    op.drop_index(
        "ix_appointments_sending", table_name="appointments", postgresql_where=sa.text("submission = 'sending'")
    )
    op.drop_index("ix_appointments_mrn_created_at_id", table_name="appointments")
    op.drop_index(
        "ix_appointments_failure_category_created_at_id",
        table_name="appointments",
        postgresql_where=sa.text("failure_category IS NOT NULL"),
    )
    op.drop_index("ix_appointments_due", table_name="appointments", postgresql_where=sa.text("status = 'processing'"))
    op.drop_index(
        "ix_appointments_discrepancies",
        table_name="appointments",
        postgresql_using="gin",
        postgresql_where=sa.text("discrepancies <> '{}'"),
    )
    op.drop_index("ix_appointments_created_at_id", table_name="appointments")
    op.drop_index("ix_appointments_account_created_at_id", table_name="appointments")
    op.drop_table("appointments")
    op.drop_table("api_keys")
    op.drop_table("accounts")
