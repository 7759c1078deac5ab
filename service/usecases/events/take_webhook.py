"""Take a webhook: verify, read, apply or spool, answer, within the budget whatever happens."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from service.cobalt.signing import verify
from service.domain.arrivals import Arrival, Source, Unread
from service.domain.event_bodies import Unreadable
from service.domain.events import read_event
from service.domain.failures import Category, shape
from service.domain.minimum import reduce_bytes
from service.domain.states import Disposition
from service.errors import AppointmentsError, BatchesFullError, DatabaseBusyError
from service.spool import Spooled
from service.telemetry import log
from service.usecases.events.apply_each import refused

if TYPE_CHECKING:
    from service.config import Settings
    from service.postgres.circuit import Circuit
    from service.usecases.events.batches import Batches

logger = log.get_logger(__name__)
refusals = log.Sampled(logger)

PATH = "/webhooks/cobalt"
"""Where events are taken."""
MARGIN = 0.3
"""Seconds of the budget that are left for reading the request and writing the answer."""
SPOOL_SHARE = 0.55
"""The part of the budget that is kept for the local disk when PostgreSQL uses up the rest."""


class Refusal(StrEnum):
    """Why nothing of a delivery was kept."""

    NOT_COBALTS = "refused"  # the signature is of somebody else
    NOT_KEPT = "not_kept"  # there is nowhere to keep it; Cobalt tries once more, a second later


class Taken(NamedTuple):
    """What became of a delivery.

    Args:
        outcome: A disposition only for what is on disk.
        event_id: Where it could be read.
    """

    outcome: Disposition | Refusal
    event_id: str | None = None


class WebhookTaker:
    """Takes webhooks for one process.

    Args:
        door: Leads to ``apply``, in groups.
        spool: Leads to the local disk, in groups.
        circuit: Knows whether PostgreSQL is away.
        settings: For the secrets and the budget.
    """

    def __init__(
        self,
        door: Batches[Arrival, Disposition],
        spool: Batches[Spooled, None],
        circuit: Circuit,
        settings: Settings,
    ) -> None:
        self._door = door
        self._spool = spool
        self._circuit = circuit
        self._secrets = settings.cobalt_webhook_secrets
        self._budget = settings.webhook_budget.total_seconds() - MARGIN

    async def take(self, raw: bytes, signature: str | None, request_id: str) -> Taken:
        """Take one delivery.

        Args:
            raw: The body, byte for byte.
            signature: The header ``cobalt-verification``.
            request_id: Of this HTTP request.
        """
        began = time.monotonic()
        if not verify(raw, signature, self._secrets):
            refusals.warning("webhook refused: wrong signature", bytes=len(raw), request_id=request_id)
            return Taken(Refusal.NOT_COBALTS)
        arrival = read_arrival(raw, Source.WEBHOOK, datetime.now(UTC), request_id)
        if not self._circuit.is_open or self._circuit.claim_try():
            try:
                return await self._apply(arrival, until=began + self._budget * (1 - SPOOL_SHARE))
            except (BatchesFullError, DatabaseBusyError) as error:
                logger.warning("webhook goes to the spool", problem=type(error).__name__, request_id=request_id)
            except AppointmentsError as error:
                if self._circuit.open():
                    logger.error(  # noqa: TRY400
                        "PostgreSQL cannot be used: webhooks go to the spool",
                        problem=type(error).__name__,
                        request_id=request_id,
                    )
            except Exception:  # not even as bytes: whoever mends the database finds it on disk
                logger.exception("PostgreSQL refuses an event: it goes to the spool", request_id=request_id)
        return await self._keep_on_disk(arrival, raw, until=began + self._budget)

    async def _apply(self, arrival: Arrival, *, until: float) -> Taken:
        try:
            disposition = await self._door.put(arrival, within=until - time.monotonic())
        except AppointmentsError:
            raise
        except Exception as error:
            if isinstance(arrival.said, Unread):
                raise
            # Readable, but the database refuses it: a person has to look, and nothing may be lost meanwhile.
            arrival = refused(arrival, error)
            disposition = await self._door.put(arrival, within=until - time.monotonic())
        return Taken(disposition, _event_id(arrival))

    async def _keep_on_disk(self, arrival: Arrival, raw: bytes, *, until: float) -> Taken:
        try:
            await self._spool.put(
                Spooled(raw, arrival.received_at, arrival.request_id), within=until - time.monotonic()
            )
        except AppointmentsError as error:
            logger.error(  # noqa: TRY400
                "webhook not kept", problem=type(error).__name__, bytes=len(raw), request_id=arrival.request_id
            )
            return Taken(Refusal.NOT_KEPT)
        return Taken(Disposition.SPOOLED, _event_id(arrival))


def read_arrival(raw: bytes, source: Source, received_at: datetime, request_id: str | None) -> Arrival:
    """Read an authentic body; what cannot be read arrives too, as bytes for the quarantine."""
    try:
        event = read_event(raw, received_at=received_at)
    except Unreadable as unreadable:
        logger.error(  # noqa: TRY400
            "webhook cannot be read: quarantined", problem=str(unreadable), bytes=len(raw), request_id=request_id
        )
        return Arrival(Unread(reduce_bytes(raw), str(unreadable)), source, received_at, request_id)
    if event.failure and event.failure.category is Category.OTHER:
        reason_shape = shape(event.failure.reason)
        logger.warning(
            "failure reason not seen before", event_id=event.id, reason_shape=reason_shape, request_id=request_id
        )
    return Arrival(event, source, received_at, request_id, raw)


def _event_id(arrival: Arrival) -> str | None:
    return None if isinstance(arrival.said, Unread) else arrival.said.id
