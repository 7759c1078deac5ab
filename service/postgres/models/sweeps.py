"""How far Cobalt's events of each account were seen."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from service.postgres.models.base import NOW, Base


class Sweep(Base):
    """The high-water mark of one account, and the next walk over its events."""

    __tablename__ = "sweeps"

    account: Mapped[str] = mapped_column(primary_key=True)
    swept_to: Mapped[datetime | None] = mapped_column(
        comment="Every event that Cobalt listed before this instant was seen, whatever became of its webhook"
    )
    swept_at: Mapped[datetime | None] = mapped_column(comment="When the latest whole walk began")
    due_at: Mapped[datetime] = mapped_column(server_default=NOW, comment="When a worker walks again")
    lease_until: Mapped[datetime | None] = mapped_column(comment="Until when the walk under way is believed in")
