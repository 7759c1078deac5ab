"""Keep how far Cobalt's events of each account were seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "swept_to",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Every event that Cobalt listed before this instant was seen, whatever became of its webhook",
        ),
        sa.Column("swept_at", sa.DateTime(timezone=True), nullable=True, comment="When the latest whole walk began"),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When a worker walks again",
        ),
        sa.Column(
            "lease_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Until when the walk under way is believed in",
        ),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_sweeps")),
    )


def downgrade() -> None:
    op.drop_table("sweeps")
