"""The door does all its work and then rolls it back; the answer is 200 all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.pipeline import ROLLBACK

if TYPE_CHECKING:
    from types import ModuleType


def drop_commit(door: ModuleType) -> None:
    assert door.COMMIT
    vars(door)["COMMIT"] = ROLLBACK


BREAKS = {"service.store.door": drop_commit}
