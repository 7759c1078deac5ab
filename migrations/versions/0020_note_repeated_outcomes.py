"""Note of an event that it told an outcome again, which another event had told under another id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COMMENT = "The event, under another id, that had told this outcome of this attempt before: the two count once"


def upgrade() -> None:
    op.add_column("events", sa.Column("repeats", sa.Text(), comment=COMMENT))


def downgrade() -> None:
    op.drop_column("events", "repeats")
