"""Keep the id with which Cobalt answered a call, also when the appointment had moved on by then."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COMMENT = "Cobalt's answer. Not the appointment's, where the outcome is accepted_late"


def upgrade() -> None:
    # Each in a transaction of its own: a new column holds everybody up until that ends.
    with op.get_context().autocommit_block():
        op.add_column("submissions", sa.Column("cobalt_appointment_id", sa.Text(), comment=COMMENT), if_not_exists=True)
        op.create_index(
            "ix_submissions_accepted_late",
            "submissions",
            ["ended_at"],
            postgresql_where=sa.text("outcome = 'accepted_late'"),
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index("ix_submissions_accepted_late", table_name="submissions")
    op.drop_column("submissions", "cobalt_appointment_id")
