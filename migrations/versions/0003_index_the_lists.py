"""Index the lists for every filter and both sorts, and drop the wider indexes that these replace."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEW = {
    "created_at": (["created_at", "status", "starts_at"], None),
    "updated_at": (["updated_at", "status", "starts_at", "created_at"], None),
    "account_created_at": (["account", "created_at", "status"], None),
    "account_updated_at": (["account", "updated_at", "status"], None),
    "provider_created_at": (["provider", "created_at", "starts_at"], None),
    "provider_updated_at": (["provider", "updated_at", "starts_at"], None),
    "type_created_at": (["type", "created_at"], None),
    "type_updated_at": (["type", "updated_at"], None),
    "mrn": (["mrn"], None),
    "starts_at": (["starts_at"], "starts_at IS NOT NULL"),
    "processing_created_at": (["created_at", "requested_at"], "status = 'processing'"),
    "failed_created_at": (["created_at"], "status = 'failed'"),
    "failure_category_created_at": (["failure_category", "created_at"], "failure_category IS NOT NULL"),
    "failure_category_updated_at": (["failure_category", "updated_at"], "failure_category IS NOT NULL"),
    "submission_created_at": (["submission", "created_at"], "submission <> 'accepted'"),
    "submission_updated_at": (["submission", "updated_at"], "submission <> 'accepted'"),
}
OLD = {
    "created_at_id": (["created_at", "id"], None),
    "updated_at_id": (["updated_at", "id"], None),
    "status_created_at_id": (["status", "created_at", "id"], None),
    "failure_category_created_at_id": (["failure_category", "created_at", "id"], "failure_category IS NOT NULL"),
    "account_created_at_id": (["account", "created_at", "id"], None),
    "mrn_created_at_id": (["mrn", "created_at", "id"], None),
    "sending": (["lease_until"], "submission = 'sending'"),
}


def upgrade() -> None:
    _drop(OLD)
    _create(NEW)


def downgrade() -> None:
    _drop(NEW)
    _create(OLD)


def _drop(indexes: dict[str, tuple[list[str], str | None]]) -> None:
    for name in indexes:
        op.drop_index(f"ix_appointments_{name}", table_name="appointments")


def _create(indexes: dict[str, tuple[list[str], str | None]]) -> None:
    for name, (columns, where) in indexes.items():
        op.create_index(
            f"ix_appointments_{name}",
            "appointments",
            columns,
            postgresql_where=None if where is None else sa.text(where),
        )
