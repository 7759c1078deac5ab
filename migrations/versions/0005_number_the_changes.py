"""Number each version of an appointment by the transaction that made it, so that changes can be followed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TRIGGER = """
CREATE FUNCTION number_changed_appointment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed_in := pg_current_xact_id()::text::bigint;
  RETURN NEW;
END
$$;
CREATE TRIGGER number_changed BEFORE UPDATE ON appointments
  FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION number_changed_appointment()
"""


def upgrade() -> None:
    # A constant first: it writes no row. What is there already comes before every change from now on.
    op.add_column(
        "appointments",
        sa.Column(
            "changed_in",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="The transaction that made this version; set by a trigger",
        ),
    )
    op.alter_column("appointments", "changed_in", server_default=sa.text("((pg_current_xact_id())::text)::bigint"))
    op.execute(TRIGGER)
    op.create_index("ix_appointments_changed_in_id", "appointments", ["changed_in", "id"])
    op.create_table(
        "change_marks",
        sa.Column(
            "database", sa.Text(), nullable=False, comment="The cluster's system identifier and the database's oid"
        ),
        sa.Column(
            "timeline", sa.Integer(), nullable=False, comment="A fail-over or a restore to a point in time begins one"
        ),
        sa.Column(
            "reached",
            sa.BigInteger(),
            nullable=False,
            comment="Every transaction before this one had ended when this was written",
        ),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("database", "timeline", name=op.f("pk_change_marks")),
    )


def downgrade() -> None:
    op.drop_table("change_marks")
    op.drop_index("ix_appointments_changed_in_id", table_name="appointments")
    op.execute("DROP TRIGGER number_changed ON appointments")
    op.execute("DROP FUNCTION number_changed_appointment()")
    op.drop_column("appointments", "changed_in")
