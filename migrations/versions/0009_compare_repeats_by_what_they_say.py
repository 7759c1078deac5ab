"""Compare requests with the same Idempotency-Key by what their JSON says, not by how it is written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null in the answers that are kept now, which are compared by their bytes until they expire. The fingerprint stays:
    # a process of the version before still reads it while this one is being rolled out.
    op.add_column(
        "idempotency_keys",
        sa.Column(
            "meaning",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of method, path and what the body says in JSON, however that is written",
        ),
    )


def downgrade() -> None:
    op.drop_column("idempotency_keys", "meaning")
