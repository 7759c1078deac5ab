"""Keep counts of appointments, outcomes and unmatched events, which triggers maintain whoever writes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# What is counted of a row. An outcome's time falls into the bucket n for 1.1^n to 1.1^(n+1) seconds, and nothing
# is shorter than a millisecond.
FACTS = """
  date_bin('1 hour', created_at, 'epoch'), account, status, submission, failure_category,
  date_bin('1 hour', settled_at, 'epoch'), learned_from, outcome_bucket(requested_at, settled_at)
"""
NAMES = "asked_hour, account, status, submission, failure_category, settled_hour, learned_from, took"

# A statement that changes nothing that is counted writes nothing.
COUNT_UPDATED = f"""
CREATE FUNCTION count_updated_appointments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO appointment_count_deltas ({NAMES}, count)
  SELECT {NAMES}, sum(count) FROM (
    SELECT {FACTS}, 1 FROM new_rows UNION ALL SELECT {FACTS}, -1 FROM old_rows
  ) AS counted ({NAMES}, count)
  GROUP BY {NAMES} HAVING sum(count) <> 0;
  RETURN NULL;
END
$$
"""  # noqa: S608 (constants)
COUNT_INSERTED, COUNT_DELETED = (
    f"""
CREATE FUNCTION count_{what}_appointments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO appointment_count_deltas ({NAMES}, count)
  SELECT {NAMES}, {count} FROM (SELECT {FACTS} FROM {rows}) AS counted ({NAMES}) GROUP BY {NAMES};
  RETURN NULL;
END
$$
"""  # noqa: S608 (constants)
    for what, count, rows in (("inserted", "count(*)", "new_rows"), ("deleted", "-count(*)", "old_rows"))
)
TRIGGERS = """
CREATE TRIGGER count_inserted AFTER INSERT ON appointments REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_appointments();
CREATE TRIGGER count_updated AFTER UPDATE ON appointments REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION count_updated_appointments();
CREATE TRIGGER count_deleted AFTER DELETE ON appointments REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_appointments();

CREATE FUNCTION count_unmatched_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO unmatched_counts VALUES (CASE WHEN TG_ARGV[0] = 'more' THEN 1 ELSE -1 END);
  RETURN NULL;
END
$$;
CREATE TRIGGER unmatched_inserted AFTER INSERT ON events
  FOR EACH ROW WHEN (NEW.disposition = 'unmatched') EXECUTE FUNCTION count_unmatched_event('more');
CREATE TRIGGER unmatched_again AFTER UPDATE OF disposition ON events
  FOR EACH ROW WHEN (OLD.disposition <> 'unmatched' AND NEW.disposition = 'unmatched')
  EXECUTE FUNCTION count_unmatched_event('more');
CREATE TRIGGER unmatched_no_more AFTER UPDATE OF disposition ON events
  FOR EACH ROW WHEN (OLD.disposition = 'unmatched' AND NEW.disposition <> 'unmatched')
  EXECUTE FUNCTION count_unmatched_event('fewer');
CREATE TRIGGER unmatched_deleted AFTER DELETE ON events
  FOR EACH ROW WHEN (OLD.disposition = 'unmatched') EXECUTE FUNCTION count_unmatched_event('fewer')
"""


def upgrade() -> None:
    # Writers wait until this is through, webhooks on disk. In the order in which they themselves take the tables.
    op.execute("LOCK TABLE events, appointments IN SHARE ROW EXCLUSIVE MODE")
    _create_tables()
    op.execute(
        "CREATE FUNCTION outcome_bucket(requested_at timestamptz, settled_at timestamptz) RETURNS smallint"
        " LANGUAGE sql IMMUTABLE PARALLEL SAFE AS"
        " $$ SELECT CASE WHEN settled_at IS NOT NULL THEN floor("
        "ln(greatest(date_part('epoch', settled_at - requested_at), 0.001)) / ln(1.1::float8))::smallint END $$"
    )
    for statement in (COUNT_INSERTED, COUNT_UPDATED, COUNT_DELETED, TRIGGERS):
        op.execute(statement)
    # What is there already; nobody knows any more how those outcomes were learned.
    facts = FACTS.replace("learned_from", "NULL::text")
    op.execute(
        f"INSERT INTO appointment_count_deltas ({NAMES}, count)"  # noqa: S608 (constants)
        f" SELECT {NAMES}, count(*) FROM (SELECT {facts} FROM appointments) AS counted ({NAMES}) GROUP BY {NAMES}"
    )
    op.execute(
        "INSERT INTO unmatched_counts SELECT count(*) FROM events WHERE disposition = 'unmatched' HAVING count(*) > 0"
    )
    op.create_index(
        "ix_appointments_processing",
        "appointments",
        ["requested_at"],
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.create_index(
        "ix_events_unmatched_received_at",
        "events",
        ["received_at"],
        postgresql_where=sa.text("disposition = 'unmatched'"),
    )
    op.create_index(
        "ix_quarantine_waiting", "quarantine", ["received_at"], postgresql_where=sa.text("replayed_at IS NULL")
    )
    # Last, because readers have to wait for this.
    op.add_column(
        "appointments",
        sa.Column(
            "learned_from",
            sa.Text(),
            nullable=True,
            comment="How the event came that the status rests on;"
            " null where there is none, or it is older than this column",
        ),
    )
    op.create_check_constraint(
        op.f("ck_appointments_learned_from"),
        "appointments",
        "learned_from IN ('webhook', 'poll', 'spool', 'replay')",
    )


def _create_tables() -> None:
    op.create_table(
        "appointment_count_deltas",
        sa.Column("asked_hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("submission", sa.Text(), nullable=False),
        sa.Column("failure_category", sa.Text(), nullable=True),
        sa.Column("settled_hour", sa.DateTime(timezone=True), nullable=True),
        sa.Column("learned_from", sa.Text(), nullable=True),
        sa.Column("took", sa.SmallInteger(), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        comment="Written by triggers on appointments, and folded into the counts by the worker: writers share no row",
    )
    op.create_table(
        "unmatched_counts",
        sa.Column("count", sa.BigInteger(), nullable=False),
        comment="Their sum is how many events are unmatched; written by triggers, and folded into one by the worker",
    )
    # Their rows live for seconds: what is read is as much as is there, so what is gone must not stay around.
    for table in ("appointment_count_deltas", "unmatched_counts"):
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
            " autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000)"
        )
    op.create_table(
        "appointment_counts",
        sa.Column("per", sa.Text(), nullable=False, comment="Each appointment counts once an hour, a day, and ever"),
        sa.Column(
            "starts_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Of the hour or day, UTC; 1970 for ever",
        ),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("submission", sa.Text(), nullable=False),
        sa.Column("failure_category", sa.Text(), nullable=False, comment="Empty for none"),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("per IN ('hour', 'day', 'ever')", name=op.f("ck_appointment_counts_per")),
        sa.PrimaryKeyConstraint(
            "per",
            "starts_at",
            "account",
            "status",
            "submission",
            "failure_category",
            name=op.f("pk_appointment_counts"),
        ),
    )
    op.create_table(
        "outcome_counts",
        sa.Column("per", sa.Text(), nullable=False, comment="Each outcome counts once an hour and once a day"),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False, comment="Of the hour or day, UTC"),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("learned_from", sa.Text(), nullable=False, comment="Empty where no event told it"),
        sa.Column(
            "took",
            sa.SmallInteger(),
            nullable=False,
            comment="n for 1.1^n to 1.1^(n+1) seconds from the request to its outcome",
        ),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("per IN ('hour', 'day')", name=op.f("ck_outcome_counts_per")),
        sa.PrimaryKeyConstraint("per", "starts_at", "account", "learned_from", "took", name=op.f("pk_outcome_counts")),
    )


def downgrade() -> None:
    for what in ("inserted", "again", "no_more", "deleted"):
        op.execute(f"DROP TRIGGER unmatched_{what} ON events")
    op.execute("DROP FUNCTION count_unmatched_event()")
    for what in ("inserted", "updated", "deleted"):
        op.execute(f"DROP TRIGGER count_{what} ON appointments")
        op.execute(f"DROP FUNCTION count_{what}_appointments()")
    op.execute("DROP FUNCTION outcome_bucket(timestamptz, timestamptz)")
    for table in ("outcome_counts", "appointment_counts", "unmatched_counts", "appointment_count_deltas"):
        op.drop_table(table)
    op.drop_index("ix_quarantine_waiting", table_name="quarantine")
    op.drop_index("ix_events_unmatched_received_at", table_name="events")
    op.drop_index("ix_appointments_processing", table_name="appointments")
    op.drop_column("appointments", "learned_from")
