"""Keep MRNs in the form in which they are compared, where they were given in another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

from service.domain.comparing import comparable

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

AT_ONCE = 1000
# What is plain ASCII without a blank is compared as it is: nearly every one.
_ODD = "SELECT id, mrn FROM {table} WHERE mrn ~ '[^!-~]'"


def upgrade() -> None:
    # Each in a transaction of its own: a new column holds everybody up until that ends.
    with op.get_context().autocommit_block():
        op.add_column(
            "appointments",
            sa.Column("mrn_key", sa.Text(), comment="The MRN as MRNs are compared, where that is not how it was given"),
            if_not_exists=True,
        )
        op.create_index(
            "ix_appointments_mrn_key",
            "appointments",
            ["mrn_key"],
            postgresql_where=sa.text("mrn_key IS NOT NULL"),
            if_not_exists=True,
        )
    _write("appointments", "mrn_key")
    _write("events", "mrn")
    op.alter_column("events", "mrn", comment="The patient's, as MRNs are compared: payload has it as it came")


def downgrade() -> None:
    op.alter_column("events", "mrn", comment="The patient's, as it was read: never longer than an id")
    op.drop_column("appointments", "mrn_key")


def _write(table: str, column: str) -> None:
    query = sa.text(f"UPDATE {table} SET {column} = :key WHERE id = :id")  # noqa: S608 (constants)
    for batch in _odd(table):
        op.get_bind().execute(query, batch)


def _odd(table: str) -> Iterator[list[dict[str, str]]]:
    """Find the rows whose MRN is compared in another form, and that form."""
    found = op.get_bind().execute(sa.text(_ODD.format(table=table))).all()
    odd = [{"id": row.id, "key": comparable(row.mrn)} for row in found if comparable(row.mrn) != row.mrn]
    for start in range(0, len(odd), AT_ONCE):
        yield odd[start : start + AT_ONCE]
