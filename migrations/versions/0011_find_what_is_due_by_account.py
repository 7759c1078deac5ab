"""Find what is due account by account: much that waits for one must not be in the way to the others.

Each statement is a transaction of its own, so that writes are held up by one index at a time: each of them holds few
rows, and takes a look through the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

QUEUED = "status = 'processing' AND submission = 'queued'"
AWAITED = "status = 'processing' AND submission IN ('accepted', 'unconfirmed')"
UNCONFIRMED = "submission = 'unconfirmed'"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        _create("queued", ["account", "due_at"], QUEUED)
        _create("awaited", ["account", "due_at"], AWAITED)
        _drop("due")
        _drop("unconfirmed")
        _create("unconfirmed", ["account", "due_at"], UNCONFIRMED)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _create("due", ["due_at"], "status = 'processing'")
        _drop("unconfirmed")
        _create("unconfirmed", ["due_at"], UNCONFIRMED)
        _drop("queued")
        _drop("awaited")


def _create(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        f"ix_appointments_{name}", "appointments", columns, postgresql_where=sa.text(where), if_not_exists=True
    )


def _drop(name: str) -> None:
    op.drop_index(f"ix_appointments_{name}", table_name="appointments", if_exists=True)
