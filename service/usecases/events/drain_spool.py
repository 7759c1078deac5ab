"""Give spooled events to PostgreSQL as soon as it is back, oldest first, through the one door."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import text

from service.domain.arrivals import Source
from service.errors import DatabaseBusyError, DatabaseFaultError, DatabaseUnavailableError, SpoolUnavailableError
from service.postgres.engine import transaction
from service.postgres.queries import sweeps
from service.telemetry import log
from service.usecases.events.apply_each import apply_each
from service.usecases.events.take_webhook import read_arrival

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from service.postgres.circuit import Circuit
    from service.spool import Spool, Spooled

BATCH = 200
INTERVAL = 0.5
"""Seconds between looks. An event has 2 tries within a second; its outcome may wait half of one."""
LONGEST_PAUSE = 8.0
"""Seconds between looks while nothing that waits can be drained: a person has to mend the database first."""

logger = log.get_logger(__name__)


class Drainer:
    """Looks after PostgreSQL and the spool for one process; one of a host's processes drains at a time."""

    def __init__(self, engine: Engine, spool: Spool, circuit: Circuit) -> None:
        self._engine = engine
        self._spool = spool
        self._circuit = circuit
        self._may_have_missed = True  # while this process was not there, or PostgreSQL was away
        self._refusal: Exception | None = None  # why nothing that waits could be drained

    def start(self) -> None:
        """Look from now on, until the process ends."""
        threading.Thread(target=self._run, name="drainer", daemon=True).start()

    def run_once(self) -> dict[str, int]:
        """Close the circuit if PostgreSQL is back, and drain what waits; returns counts.

        Raises:
            DatabaseUnavailableError: PostgreSQL is away, or takes nothing of what waits; what was not drained still
                waits.
            SpoolUnavailableError: The disk does not answer.
        """
        self._probe()
        self._refusal = None
        try:
            drained = self._drain()
        except SpoolUnavailableError:
            self._close_circuit()  # whatever state the disk is in
            raise
        if self._refusal and not drained:
            raise self._refusal
        self._close_circuit()
        self._refusal = None
        if drained:
            logger.info("spool drained", count=drained)
            self._may_have_missed = True
        self._request_sweeps()
        with self._spool.only_drainer() as mine:  # last, for whatever is wrong with a damaged file concerns no other
            if mine:
                self._spool.salvage()
        return {"drained": drained}

    def _drain(self) -> int:
        """Drain what can be; returns how many that were, and notes why others could not."""
        drained = 0
        with self._spool.only_drainer() as mine:
            if not mine:
                return 0
            try:
                waiting = self._spool.oldest(BATCH)
                while waiting:
                    kept = self._apply(waiting)
                    # A kill between the commit and this delivers them again: duplicates, which change nothing.
                    self._spool.remove(kept)
                    drained += len(kept)
                    waiting = self._spool.oldest(BATCH, after=waiting[-1].id)
            finally:
                self._spool.forget()  # what an earlier drainer left too, that was killed before it came to this
        return drained

    def _probe(self) -> None:
        """Find out whether PostgreSQL takes writes again, if it was away."""
        if not self._circuit.is_open:
            return
        with transaction(self._engine) as session:
            if session.scalar(text("SHOW transaction_read_only")) == "on":
                raise DatabaseUnavailableError("PostgreSQL takes no writes")

    def _close_circuit(self) -> None:
        if self._circuit.close():
            logger.info("PostgreSQL is back")
            self._may_have_missed = True

    def _request_sweeps(self) -> None:
        """Have a worker look for events that nobody could take meanwhile."""
        if self._may_have_missed:
            with transaction(self._engine) as session:
                sweeps.request_all(session, now=datetime.now(UTC))
            self._may_have_missed = False

    def _apply(self, waiting: Sequence[Spooled]) -> Sequence[Spooled]:
        """Apply a batch; returns what is kept now: all of it, but for what a lock, its size or a fault holds up."""
        arrivals = [read_arrival(one.raw, Source.SPOOL, one.received_at, one.request_id) for one in waiting]
        try:
            apply_each(self._engine, arrivals)
        except DatabaseBusyError:
            if len(waiting) == 1:
                logger.warning("spooled event is held up", count=1)
                return []
            return self._apply_halves(waiting)
        except DatabaseFaultError as fault:
            self._refusal = fault
            return self._apply_despite(waiting)
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # not even as bytes
            self._refusal = error
            if len(waiting) == 1:
                logger.exception("spooled event is refused, and so are its bytes", request_id=waiting[0].request_id)
            return self._apply_despite(waiting)
        return waiting

    def _apply_halves(self, waiting: Sequence[Spooled]) -> Sequence[Spooled]:
        middle = len(waiting) // 2
        return [*self._apply(waiting[:middle]), *self._apply(waiting[middle:])]

    def _apply_despite(self, waiting: Sequence[Spooled]) -> Sequence[Spooled]:
        """Apply what can be of a batch that PostgreSQL does not take, which may be because of a single event.

        When it does not take one of them alone, whichever that is, the others fare no better: until the next look.
        """
        if len(waiting) == 1:
            return []
        sample = random.randrange(len(waiting))  # noqa: S311 (none is held up for ever by another)
        kept = self._apply([waiting[sample]])
        if not kept:
            return []
        return [*kept, *self._apply_halves([*waiting[:sample], *waiting[sample + 1 :]])]

    def _run(self) -> None:
        pause = INTERVAL
        while True:
            began = time.monotonic()
            try:
                self.run_once()
            except (DatabaseUnavailableError, SpoolUnavailableError) as error:
                logger.debug("cannot drain now", problem=type(error).__name__)
            except Exception:
                logger.exception("drainer broke")
            pause = min(pause * 2, LONGEST_PAUSE) if self._refusal else INTERVAL
            if self._refusal:
                time.sleep((time.monotonic() - began) * 4)  # a long spool takes long to look through in vain
            time.sleep(pause)
