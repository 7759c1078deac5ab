"""What each account's EHR knows, as Cobalt lists it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.postgres.models.base import NOW, Base


class Catalogue(Base):
    """Providers, locations and visit types of one account, and when they are asked for next."""

    __tablename__ = "catalogues"

    account: Mapped[str] = mapped_column(primary_key=True)
    providers: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    locations: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    visit_types: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    fetched_at: Mapped[datetime | None] = mapped_column(comment="When Cobalt was last asked and answered")
    due_at: Mapped[datetime] = mapped_column(server_default=NOW, comment="When a worker asks again")
    problem: Mapped[str | None] = mapped_column(comment="Why the latest try brought nothing; null when it did")
    preflight: Mapped[bool] = mapped_column(
        server_default=text("true"), comment="Whether requests for this account are checked against it"
    )
