"""Vacuum appointments at a twentieth of dead rows, not a fifth: a replica passes over all of them at each look."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nobody has to wait for this, and no row is written. docs/decisions/0018 says why this and nothing else.
    op.execute("ALTER TABLE appointments SET (autovacuum_vacuum_scale_factor = 0.05)")


def downgrade() -> None:
    op.execute("ALTER TABLE appointments RESET (autovacuum_vacuum_scale_factor)")
