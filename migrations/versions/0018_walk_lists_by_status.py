"""Let lists be walked through by status, and around the rows whose times lie far apart.

Each index is built beside the writes. One that was left unfinished is built anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

UNUSUAL = (
    "(updated_at - created_at > interval '1 day' OR created_at - updated_at > interval '1 day'"
    " OR starts_at - created_at > interval '60 days' OR created_at - starts_at > interval '1 day')"
)
Indexes = dict[str, tuple[tuple[str, ...], str | None]]
BEFORE: Indexes = {
    "created_at": (("created_at", "status", "starts_at"), None),
    "updated_at": (("updated_at", "status", "starts_at", "created_at"), None),
    "account_created_at": (("account", "created_at", "status"), None),
    "account_updated_at": (("account", "updated_at", "status"), None),
    "provider_created_at": (("provider", "created_at", "starts_at"), None),
    "provider_updated_at": (("provider", "updated_at", "starts_at"), None),
    "type_created_at": (("type", "created_at"), None),
    "type_updated_at": (("type", "updated_at"), None),
    "processing_created_at": (("created_at", "requested_at"), "status = 'processing'"),
    "failed_created_at": (("created_at",), "status = 'failed'"),
}
AFTER: Indexes = {
    "settled_at": (("settled_at",), "settled_at IS NOT NULL"),  # for what is past its time
    "status_created_at": (("status", "created_at", "starts_at"), None),
    "status_updated_at": (("status", "updated_at", "starts_at", "created_at"), None),
    "account_status_created_at": (("account", "status", "created_at"), None),
    "account_status_updated_at": (("account", "status", "updated_at"), None),
    "provider_status_created_at": (("provider", "status", "created_at", "starts_at"), None),
    "provider_status_updated_at": (("provider", "status", "updated_at", "starts_at"), None),
    "type_status_created_at": (("type", "status", "created_at"), None),
    "type_status_updated_at": (("type", "status", "updated_at"), None),
    "unusual_created_at": (("created_at", "updated_at", "starts_at"), UNUSUAL),
    "unusual_updated_at": (("updated_at", "created_at", "starts_at"), UNUSUAL),
}


def upgrade() -> None:
    _replace(BEFORE, AFTER)


def downgrade() -> None:
    _replace(AFTER, BEFORE)


def _replace(former: Indexes, wanted: Indexes) -> None:
    """Make the new ones first: lists are never without any."""
    with op.get_context().autocommit_block():
        for name, (columns, where) in wanted.items():
            _drop(name)  # what an earlier try left unfinished
            op.create_index(
                f"ix_appointments_{name}",
                "appointments",
                list(columns),
                postgresql_where=where and sa.text(where),
                postgresql_concurrently=True,
            )
        for name in former:
            _drop(name)


def _drop(name: str) -> None:
    op.drop_index(f"ix_appointments_{name}", table_name="appointments", if_exists=True, postgresql_concurrently=True)
