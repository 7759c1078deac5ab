"""Keep what each account's EHR knows, so that a request that names something else is refused at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalogues",
        sa.Column("account", sa.Text(), nullable=False),
        *(
            sa.Column(kind, JSONB(), server_default=sa.text("'[]'"), nullable=False)
            for kind in ("providers", "locations", "visit_types")
        ),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When Cobalt was last asked and answered",
        ),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When a worker asks again",
        ),
        sa.Column("problem", sa.Text(), nullable=True, comment="Why the latest try brought nothing; null when it did"),
        sa.Column(
            "preflight",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="Whether requests for this account are checked against it",
        ),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_catalogues")),
    )


def downgrade() -> None:
    op.drop_table("catalogues")
