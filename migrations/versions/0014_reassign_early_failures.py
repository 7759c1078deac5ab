"""Allow the decision that a failure belongs to an attempt which it is dated before."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _allow("'adopted', 'abandoned', 'gave_up', 'reassigned'")


def downgrade() -> None:
    op.execute("DELETE FROM decisions WHERE decision = 'reassigned'")
    _allow("'adopted', 'abandoned', 'gave_up'")


def _allow(decisions: str) -> None:
    op.drop_constraint("ck_decisions_decision", "decisions")
    op.create_check_constraint(op.f("ck_decisions_decision"), "decisions", f"decision IN ({decisions})")
