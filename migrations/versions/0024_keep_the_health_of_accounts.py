"""Keep the health of accounts, so that all workers share it; say of events about accounts that they were used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

DISPOSITIONS = "'applied', 'superseded', 'unmatched', 'ignored'"


def upgrade() -> None:
    op.create_table(
        "account_health",
        sa.Column("account", sa.Text(), nullable=False, comment="Our name for it, stored or of the environment"),
        sa.Column("health", sa.Text(), server_default="healthy", nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("since", sa.DateTime(timezone=True), comment="Since when its health is what it is"),
        sa.Column("probe_at", sa.DateTime(timezone=True), comment="When one call may try whether the trouble is over"),
        sa.Column(
            "slowed",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="How often in a row Cobalt slowed it down",
        ),
        sa.Column(
            "version",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="A call that was begun under an earlier one is no evidence any more",
        ),
        sa.Column("held_by", sa.Text(), comment="Who holds it, where a person does"),
        sa.Column("held_why", sa.Text(), comment="In that person's words"),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_account_health")),
        sa.CheckConstraint(
            "health IN ('healthy', 'paused', 'login_required', 'held')", name=op.f("ck_account_health_health")
        ),
        sa.CheckConstraint(
            "(health IN ('paused', 'login_required')) = (probe_at IS NOT NULL)",
            name=op.f("ck_account_health_trouble_is_probed"),
        ),
        sa.CheckConstraint(
            "(health = 'held') = (held_by IS NOT NULL)", name=op.f("ck_account_health_held_by_somebody")
        ),
    )
    _restrict(f"{DISPOSITIONS}, 'noted'")


def downgrade() -> None:
    op.execute("UPDATE events SET disposition = 'ignored' WHERE disposition = 'noted'")
    _restrict(DISPOSITIONS)
    op.drop_table("account_health")


def _restrict(dispositions: str) -> None:
    """Replace the constraint; rows are compared with it while others read and write them."""
    name = op.f("ck_events_disposition")
    op.drop_constraint(name, "events")
    op.execute(f"ALTER TABLE events ADD CONSTRAINT {name} CHECK (disposition IN ({dispositions})) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE events VALIDATE CONSTRAINT {name}")
