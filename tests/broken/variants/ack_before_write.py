"""The spool says yes at once and writes two seconds later, as a page cache without fsync does in a power cut."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from service.spool import Spool, Spooled

LATER = 2.0  # seconds


def write_later(spool: ModuleType) -> None:
    put = spool.Spool.put

    def promise(self: Spool, bodies: Sequence[Spooled]) -> None:
        threading.Timer(LATER, put, [self, list(bodies)]).start()

    spool.Spool.put = promise


BREAKS = {"service.spool": write_later}
