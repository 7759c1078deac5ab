"""What views need of the application: its engine and its settings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import current_app

from service.api.cursors import Cursors

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.config import Settings


def engine() -> Engine:
    """Get the pool of connections for the API."""
    found: Engine = current_app.extensions["engine"]
    return found


def settings() -> Settings:
    """Get the settings."""
    found: Settings = current_app.extensions["settings"]
    return found


def overdue_before() -> datetime:
    """Say when those were asked for that have become overdue just now."""
    return datetime.now(UTC) - settings().overdue_after


def cursors() -> Cursors:
    """Get what makes and reads cursors."""
    return Cursors(settings().cobalt_client_secret)
