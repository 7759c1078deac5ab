"""The door does all its work and then rolls it back; the answer is 200 all the same."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import psycopg
    from sqlalchemy import Engine


def drop_commit(apply_events: ModuleType) -> None:
    lone_connection = apply_events.lone_connection

    @contextmanager
    def rolled_back(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
        with lone_connection(engine) as connection:
            connection.commit = connection.rollback
            try:
                yield connection
            finally:
                del connection.commit

    apply_events.lone_connection = rolled_back  # type: ignore[attr-defined]


BREAKS = {"service.usecases.apply_events": drop_commit}
