"""Keep the MRNs of earlier attempts, so that they can be masked, and kept answers as they were given."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "appointments",
        sa.Column(
            "former_mrns",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="MRNs of earlier attempts: texts may contain them, and are masked",
        ),
    )
    op.add_column(
        "appointments",
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When a person asked for the current attempt",
        ),
    )
    op.execute("UPDATE appointments SET requested_at = created_at")
    op.add_column(
        "events",
        sa.Column("mrn", sa.Text(), nullable=True, comment="The patient's, as it was read: never longer than an id"),
    )
    op.execute(
        "UPDATE events SET mrn = left(btrim(payload -> 'data' ->> 'mrn'), 200)"
        " WHERE jsonb_typeof(payload -> 'data' -> 'mrn') IN ('string', 'number')"
    )
    op.drop_index("ix_events_unmatched_mrn", table_name="events")
    op.create_index("ix_events_unmatched_mrn", "events", ["mrn"], postgresql_where=sa.text("disposition = 'unmatched'"))
    op.execute(
        "UPDATE appointments a SET former_mrns = c.mrns FROM ("
        " SELECT appointment_id, array_agg(DISTINCT before -> 'request' ->> 'mrn') AS mrns FROM corrections"
        " WHERE before -> 'request' ->> 'mrn' IS NOT NULL GROUP BY appointment_id"
        ") c WHERE a.id = c.appointment_id"
    )
    op.alter_column(
        "idempotency_keys",
        "body",
        type_=postgresql.JSON(),
        postgresql_using="body::json",
        comment="Not jsonb, which would change the order and numbers",
    )


def downgrade() -> None:
    op.alter_column(
        "idempotency_keys",
        "body",
        type_=postgresql.JSONB(),
        postgresql_using="body::jsonb",
        comment=None,
        existing_comment="Not jsonb, which would change the order and numbers",
    )
    op.drop_index("ix_events_unmatched_mrn", table_name="events")
    op.create_index(
        "ix_events_unmatched_mrn",
        "events",
        [sa.text("((payload -> 'data') ->> 'mrn')")],
        postgresql_where=sa.text("disposition = 'unmatched'"),
    )
    op.drop_column("events", "mrn")
    op.drop_column("appointments", "requested_at")
    op.drop_column("appointments", "former_mrns")
