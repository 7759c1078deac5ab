"""Which migrations a database has had; told without Alembic, which only those load who migrate."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from sqlalchemy import text

import migrations

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def is_current(session: Session) -> bool:
    """Tell whether a database has had every migration that this code comes with."""
    applied = find_revision(session)
    return applied is not None and applied >= _newest()


def find_revision(session: Session) -> str | None:
    """Find the number of the last migration that a database has had; None where it has had none."""
    if session.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _newest() -> str:
    names = (path.name for path in files(migrations).joinpath("versions").iterdir())
    return max(name[:4] for name in names if name[:4].isdecimal())
