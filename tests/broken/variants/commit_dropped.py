"""The door does all its work and then rolls it back; the answer is 200 all the same."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.postgres.pipeline import ROLLBACK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session


def drop_commit_on_the_loop(door: ModuleType) -> None:
    assert door.COMMIT
    vars(door)["COMMIT"] = ROLLBACK


def drop_commit_in_threads(apply_events: ModuleType) -> None:
    transaction = apply_events.transaction

    @contextmanager
    def rolled_back(engine: Engine) -> Iterator[Session]:
        with transaction(engine) as session:
            yield session
            session.rollback()

    apply_events.transaction = rolled_back  # type: ignore[attr-defined]


BREAKS = {
    "service.postgres.queries.door": drop_commit_on_the_loop,
    "service.usecases.events.apply_events": drop_commit_in_threads,
}
