"""Audit reads of patients' data, keep who decided what, and index the lists of events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OUTCOME = "Null while in flight; lost when the worker died in it"
ERROR = "Where Cobalt refused it, in Cobalt's words"


def upgrade() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("appointment_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True, comment="The person: the OS user at the command line"),
        sa.Column("why", sa.Text(), nullable=True, comment="In the person's words; may hold patients' data"),
        sa.Column(
            "cobalt_appointment_ids",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Adopted: the id that it has now. Abandoned: the ids that are not its own",
        ),
        sa.CheckConstraint("decision IN ('adopted', 'abandoned', 'gave_up')", name=op.f("ck_decisions_decision")),
        sa.CheckConstraint("source IN ('person', 'worker')", name=op.f("ck_decisions_source")),
        sa.CheckConstraint(
            "(source = 'person') = (decided_by IS NOT NULL)", name=op.f("ck_decisions_a_person_has_a_name")
        ),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointments.id"], name=op.f("fk_decisions_appointment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index("ix_decisions_appointment_id", "decisions", ["appointment_id"])
    op.alter_column("submissions", "outcome", comment=OUTCOME, existing_type=sa.Text(), existing_nullable=True)
    op.alter_column("submissions", "error", comment=ERROR, existing_type=sa.Text(), existing_nullable=True)
    _create_phi_reads()
    # Building these holds events up for seconds; they wait in the spool meanwhile.
    op.create_index("ix_events_received_at", "events", ["received_at"])
    op.create_index(
        "ix_events_disposition_received_at_type",
        "events",
        ["disposition", "received_at", "type"],
        postgresql_where=sa.text("disposition <> 'applied'"),
    )
    op.create_index(
        "ix_events_source_received_at",
        "events",
        ["source", "received_at"],
        postgresql_where=sa.text("source <> 'webhook'"),
    )
    op.create_index(
        "ix_events_nobodys_cobalt_appointment_id",
        "events",
        ["cobalt_appointment_id"],
        postgresql_where=sa.text("appointment_id IS NULL AND cobalt_appointment_id IS NOT NULL"),
    )


def _create_phi_reads() -> None:
    op.create_table(
        "phi_reads",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="On PostgreSQL's clock, which all processes share",
        ),
        sa.Column("key_id", sa.Text(), nullable=True, comment="The API key; null at the command line"),
        sa.Column(
            "reader",
            sa.Text(),
            nullable=False,
            comment="The key's name at the time; at the command line the OS user",
        ),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("operation", sa.Text(), nullable=False, comment="Method and route, or the command"),
        sa.Column(
            "filters",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="The names of the filters of a list, without their values",
        ),
        sa.Column(
            "record_ids",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Appointments, events and quarantined records that were shown",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phi_reads")),
    )
    op.create_index("ix_phi_reads_at", "phi_reads", ["at"])
    op.create_index("ix_phi_reads_key_id_at", "phi_reads", ["key_id", "at"])
    op.create_index(
        "ix_phi_reads_record_ids",
        "phi_reads",
        ["record_ids"],
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": "256"},
    )
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; END $$"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON phi_reads"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    for name in (
        "ix_events_nobodys_cobalt_appointment_id",
        "ix_events_source_received_at",
        "ix_events_disposition_received_at_type",
        "ix_events_received_at",
    ):
        op.drop_index(name, table_name="events")
    op.drop_table("phi_reads")
    op.execute("DROP FUNCTION refuse_change()")
    op.alter_column("submissions", "error", comment=None, existing_comment=ERROR, existing_type=sa.Text())
    op.alter_column("submissions", "outcome", comment=None, existing_comment=OUTCOME, existing_type=sa.Text())
    op.drop_table("decisions")
