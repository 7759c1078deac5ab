"""Keep metadata as it was given where jsonb would write a number of it in another way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "appointments",
        sa.Column(
            "metadata_as_given",
            postgresql.JSON(),
            comment="The caller's own as it came, where metadata, being jsonb, writes a number of it in another way",
        ),
    )


def downgrade() -> None:
    op.drop_column("appointments", "metadata_as_given")
