"""Remember which row of a file an appointment was asked for by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imported_rows",
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of account, patient, start, provider, location and type",
        ),
        sa.Column(
            "copy",
            sa.SmallInteger(),
            nullable=False,
            autoincrement=False,
            comment="Counts from 1 how often it was asked for on purpose",
        ),
        sa.Column("appointment_id", sa.Text(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False, comment="The OS user at the command line"),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointments.id"], name=op.f("fk_imported_rows_appointment_id")),
        sa.PrimaryKeyConstraint("digest", "copy", name=op.f("pk_imported_rows")),
    )
    op.create_index("ix_imported_rows_appointment_id", "imported_rows", ["appointment_id"])


def downgrade() -> None:
    op.drop_table("imported_rows")
