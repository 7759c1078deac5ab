"""Keep in quarantine what comes under the id of a known event with another body, and what a person made of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS = (
    ("contradicts", sa.Text(), "The event that came before under its id, with another body"),
    ("said_digest", sa.LargeBinary(), "SHA-256 of what it says, however that is written"),
    ("recorded_digest", sa.LargeBinary(), "The same of the event that it contradicts"),
    ("dismissed_at", sa.DateTime(timezone=True), "When a person said that it needs nothing more"),
    ("decided_by", sa.Text(), "Who dismissed it, or took it as an event of its own"),
)


def upgrade() -> None:
    for name, kind, comment in COLUMNS:
        op.add_column("quarantine", sa.Column(name, kind, comment=comment))
    _index("replayed_at IS NULL AND dismissed_at IS NULL")


def downgrade() -> None:
    _index("replayed_at IS NULL")
    for name, _, _ in COLUMNS:
        op.drop_column("quarantine", name)


def _index(where: str) -> None:
    op.drop_index("ix_quarantine_waiting", table_name="quarantine")
    op.create_index("ix_quarantine_waiting", "quarantine", ["received_at"], postgresql_where=sa.text(where))
