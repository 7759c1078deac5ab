"""Give spooled events to PostgreSQL as soon as it is back, oldest first, through the one door."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy import text

from service import log
from service.db import transaction
from service.errors import DatabaseBusyError, DatabaseUnavailableError, SpoolUnavailableError
from service.store.events import Arrival, Source
from service.store.quarantine import Unread
from service.usecases.apply_events import apply
from service.usecases.take_webhook import read_arrival

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from service.circuit import Circuit
    from service.spool import Spool, Spooled

BATCH = 200
INTERVAL = 0.5
"""Seconds between looks. An event has 2 tries within a second; its outcome may wait half of one."""

logger = log.get_logger(__name__)


class Drainer:
    """Looks after PostgreSQL and the spool for one process; one of a host's processes drains at a time."""

    def __init__(self, engine: Engine, spool: Spool, circuit: Circuit) -> None:
        self._engine = engine
        self._spool = spool
        self._circuit = circuit

    def start(self) -> None:
        """Look from now on, until the process ends."""
        threading.Thread(target=self._run, name="drainer", daemon=True).start()

    def run_once(self) -> dict[str, int]:
        """Close the circuit if PostgreSQL is back, and drain what waits; returns counts.

        Raises:
            DatabaseUnavailableError: PostgreSQL is away; what was not drained still waits.
            SpoolUnavailableError: The disk does not answer.
        """
        self._probe()  # whatever state the disk is in
        drained = 0
        with self._spool.only_drainer() as mine:
            waiting = self._spool.oldest(BATCH) if mine else []
            while waiting:
                kept = self._apply(waiting)
                # A kill between the commit and this delivers them again: duplicates, which change nothing.
                self._spool.remove(kept)
                drained += len(kept)
                waiting = self._spool.oldest(BATCH, after=waiting[-1].id)
        if drained:
            logger.info("spool drained", count=drained)
        return {"drained": drained}

    def _probe(self) -> None:
        """Find out whether PostgreSQL takes writes again, if it was away."""
        if not self._circuit.seems_open:
            return
        with transaction(self._engine) as session:
            if session.scalar(text("SHOW transaction_read_only")) == "on":
                raise DatabaseUnavailableError("PostgreSQL takes no writes")
        if self._circuit.close():
            logger.info("PostgreSQL is back")

    def _apply(self, waiting: Sequence[Spooled]) -> Sequence[Spooled]:
        """Apply a batch; returns what is kept now: all of it, but for what a lock or its size holds up."""
        arrivals = [read_arrival(one.raw, Source.SPOOL, one.received_at, one.request_id) for one in waiting]
        try:
            apply(self._engine, arrivals)
        except DatabaseBusyError:
            if len(waiting) == 1:
                logger.warning("spooled event is held up", count=1)
                return []
            return self._apply_halves(waiting)
        except DatabaseUnavailableError:
            raise
        except Exception as error:
            if len(waiting) > 1:
                return self._apply_halves(waiting)
            logger.exception("spooled event could not be applied: quarantined")
            broken = Unread(waiting[0].raw, f"could not be applied: {type(error).__name__}")
            apply(self._engine, [Arrival(broken, Source.SPOOL, waiting[0].received_at, waiting[0].request_id)])
        return waiting

    def _apply_halves(self, waiting: Sequence[Spooled]) -> Sequence[Spooled]:
        middle = len(waiting) // 2
        return [*self._apply(waiting[:middle]), *self._apply(waiting[middle:])]

    def _run(self) -> None:
        while True:
            try:
                self.run_once()
            except (DatabaseUnavailableError, SpoolUnavailableError) as error:
                logger.debug("cannot drain now", problem=type(error).__name__)
            except Exception:
                logger.exception("drainer broke")
            time.sleep(INTERVAL)
