"""Nobody holds a lock while matching: neither on Cobalt's ids nor on the rows that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def drop_lock_on_ids(events: ModuleType) -> None:
    locking = vars(events)["LOCK_IDS"]
    assert "pg_advisory_xact_lock(key)" in locking
    vars(events)["LOCK_IDS"] = locking.replace("pg_advisory_xact_lock(key)", "key")


def drop_lock_on_rows(appointments: ModuleType) -> None:
    locking = vars(appointments)["LOCK"]
    assert "FOR NO KEY UPDATE" in locking
    vars(appointments)["LOCK"] = locking.replace("FOR NO KEY UPDATE", "")


BREAKS = {
    "service.postgres.queries.events": drop_lock_on_ids,
    "service.postgres.queries.appointments": drop_lock_on_rows,
}
