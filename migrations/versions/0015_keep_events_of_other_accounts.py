"""Keep events of other accounts from settling an appointment, and what an account was called before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INDEX = "ix_events_of_another_account"
DECISIONS = "'adopted', 'abandoned', 'gave_up', 'reassigned'"
IDS = "Adopted: the id that it has now. Abandoned: the ids that are not its own"


def upgrade() -> None:
    op.create_table(
        "account_references",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False, comment="Cobalt's access_token_reference_id"),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("account", "reference", name="pk_account_references"),
    )
    op.add_column(
        "events",
        sa.Column(
            "of_another_account",
            sa.Boolean(),
            comment="True when the appointment with this id at Cobalt is of another account: the event settles nothing",
        ),
    )
    _restrict(f"{DECISIONS}, 'dismissed'", f"{IDS}. Dismissed: the id that is")
    with op.get_context().autocommit_block():  # whoever keeps events must not wait until all of them were looked at
        op.create_index(
            INDEX,
            "events",
            ["received_at"],
            postgresql_where=sa.text("of_another_account IS TRUE AND disposition = 'unmatched'"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_column("events", "of_another_account")  # and its index
    op.execute("DELETE FROM decisions WHERE decision = 'dismissed'")
    _restrict(DECISIONS, IDS)
    op.drop_table("account_references")


def _restrict(decisions: str, comment: str) -> None:
    op.drop_constraint(op.f("ck_decisions_decision"), "decisions")
    op.create_check_constraint(op.f("ck_decisions_decision"), "decisions", f"decision IN ({decisions})")
    op.alter_column("decisions", "cobalt_appointment_ids", comment=comment)
