"""Nobody holds a lock while matching: neither on Cobalt's ids nor on the rows that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

    from sqlalchemy.orm import Session


def drop_lock_on_ids(events: ModuleType) -> None:
    assert events.lock_ids

    def hold_nothing(_session: Session, _ids: Collection[str]) -> None:
        pass

    events.lock_ids = hold_nothing  # type: ignore[attr-defined]


def drop_lock_on_rows(appointments: ModuleType) -> None:
    locking = vars(appointments)["_LOCK"]
    assert "FOR NO KEY UPDATE" in locking
    vars(appointments)["_LOCK"] = locking.replace("FOR NO KEY UPDATE", "")


BREAKS = {"service.store.events": drop_lock_on_ids, "service.store.appointments": drop_lock_on_rows}
