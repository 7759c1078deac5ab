"""Note when a key last wrote, so that its next reads do not go to a replica that has not heard of it yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "api_keys",
        sa.Column(
            "wrote_at",
            sa.DateTime(timezone=True),
            comment="About when it last wrote, kept only beside a replica: its reads stay off that for a while",
        ),
    )


def downgrade() -> None:
    op.drop_column("api_keys", "wrote_at")
