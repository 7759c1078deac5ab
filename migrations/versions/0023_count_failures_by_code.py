"""Find failures by Cobalt's codes, and count them: triggers write, whoever changes an appointment."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Cobalt's codes as it spells them, each once. What has three digits in a row, is long or has other characters is hardly
# a code and may name a patient: it can be looked for, and is counted as `other`.
FUNCTIONS = r"""
CREATE FUNCTION failure_codes(failure jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(DISTINCT one ->> 'code'), '{}')
  FROM jsonb_array_elements(CASE jsonb_typeof(failure #> '{details,reasons}')
    WHEN 'array' THEN failure #> '{details,reasons}' ELSE '[]' END) AS one
  WHERE jsonb_typeof(one -> 'code') = 'string' AND length(one ->> 'code') BETWEEN 1 AND 100
$$;
CREATE FUNCTION countable_failure_codes(failure jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(DISTINCT CASE WHEN code ~ '^[A-Za-z][A-Za-z0-9_.-]{0,59}$' AND code !~ '[0-9]{3}'
    THEN code ELSE 'other' END), '{}')
  FROM unnest(failure_codes(failure)) AS code
$$;
CREATE FUNCTION count_failure_codes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO failure_code_counts (account, code, count)
  SELECT account, code, sum(count) FROM (
    SELECT NEW.account, unnest(countable_failure_codes(NEW.failure)), 1 WHERE TG_OP <> 'DELETE'
    UNION ALL
    SELECT OLD.account, unnest(countable_failure_codes(OLD.failure)), -1 WHERE TG_OP <> 'INSERT'
  ) AS counted (account, code, count)
  GROUP BY account, code HAVING sum(count) <> 0;
  RETURN NULL;
END
$$
"""
TRIGGERS = """
CREATE TRIGGER failure_codes_inserted AFTER INSERT ON appointments
  FOR EACH ROW WHEN (NEW.failure IS NOT NULL) EXECUTE FUNCTION count_failure_codes();
CREATE TRIGGER failure_codes_updated AFTER UPDATE OF failure ON appointments
  FOR EACH ROW WHEN (OLD.failure IS DISTINCT FROM NEW.failure) EXECUTE FUNCTION count_failure_codes();
CREATE TRIGGER failure_codes_deleted AFTER DELETE ON appointments
  FOR EACH ROW WHEN (OLD.failure IS NOT NULL) EXECUTE FUNCTION count_failure_codes()
"""
COUNT = """
INSERT INTO failure_code_counts (account, code, count)
SELECT account, code, count(*) FROM appointments, unnest(countable_failure_codes(failure)) AS code
WHERE failure IS NOT NULL GROUP BY account, code
"""


def upgrade() -> None:
    # Writers wait until this is through, webhooks on disk.
    op.execute("LOCK TABLE appointments IN SHARE ROW EXCLUSIVE MODE")
    op.create_table(
        "failure_code_counts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False, comment="Cobalt's; other for what is hardly a code"),
        sa.Column("count", sa.BigInteger(), nullable=False),
        comment="Their sum is how many appointments have failed with a code; written by triggers, folded by the worker",
    )
    for statement in (FUNCTIONS, TRIGGERS, COUNT):
        op.execute(sa.text(statement))
    with op.get_context().autocommit_block():
        op.drop_index("ix_appointments_failure_codes", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            "ix_appointments_failure_codes",
            "appointments",
            [sa.text("failure_codes(failure)")],
            postgresql_using="gin",
            postgresql_where=sa.text("failure IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index("ix_appointments_failure_codes", "appointments")
    for name in ("inserted", "updated", "deleted"):
        op.execute(f"DROP TRIGGER failure_codes_{name} ON appointments")
    op.execute("DROP FUNCTION count_failure_codes()")
    op.drop_table("failure_code_counts")
    op.execute("DROP FUNCTION countable_failure_codes(jsonb)")
    op.execute("DROP FUNCTION failure_codes(jsonb)")
