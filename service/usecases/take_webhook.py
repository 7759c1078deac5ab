"""Take a webhook: verify, read, apply, answer, within the budget whatever happens."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from service import log
from service.db import transaction
from service.errors import DatabaseUnavailableError, IntakeFullError
from service.events import Kind, Unreadable, read_event
from service.failures import Category, shape
from service.ids import new_id
from service.signing import verify
from service.states import Disposition
from service.store import quarantine
from service.store.events import Arrival, Source

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.config import Settings
    from service.events import Event
    from service.intake import Intake

logger = log.get_logger(__name__)

MARGIN = 0.2
"""Seconds of the budget that are left for reading the request and writing the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a delivery is answered: a 2xx only for what is on disk."""

    http_status: int
    disposition: Disposition | None
    event_id: str | None = None


NOT_COBALTS = Answer(HTTPStatus.UNAUTHORIZED, None)
NOWHERE_TO_KEEP_IT = Answer(HTTPStatus.SERVICE_UNAVAILABLE, None)
"""Cobalt tries once more, a second later."""


class WebhookTaker:
    """Takes webhooks for one process.

    Args:
        engine: For the quarantine.
        intake: For events.
        settings: For the secrets and the budget.
    """

    def __init__(self, engine: Engine, intake: Intake, settings: Settings) -> None:
        self._engine = engine
        self._intake = intake
        self._secrets = settings.cobalt_webhook_secrets
        self._budget = settings.webhook_budget.total_seconds() - MARGIN

    def take(self, raw: bytes, signature: str | None, request_id: str) -> Answer:
        """Take one delivery.

        Args:
            raw: The body, byte for byte.
            signature: The header ``cobalt-verification``.
            request_id: Of this HTTP request.
        """
        deadline = time.monotonic() + self._budget
        if not verify(raw, signature, self._secrets):
            logger.warning("webhook refused: wrong signature", bytes=len(raw))
            return NOT_COBALTS
        received_at = datetime.now(UTC)
        try:
            event = read_event(raw, received_at=received_at)
        except Unreadable as unreadable:
            return self._quarantine(raw, str(unreadable), received_at)
        _report_unseen_reason(event)
        arrival = Arrival(event, Source.WEBHOOK, received_at, request_id)
        try:
            disposition = self._intake.take(arrival, within=deadline - time.monotonic())
        except (DatabaseUnavailableError, IntakeFullError) as error:
            logger.warning("webhook not kept", event_id=event.id, problem=type(error).__name__)
            return NOWHERE_TO_KEEP_IT
        logger.debug("webhook taken", event_id=event.id, event_type=event.type, disposition=disposition.value)
        return Answer(HTTPStatus.OK, disposition, event.id)

    def _quarantine(self, raw: bytes, reason: str, received_at: datetime) -> Answer:
        """Keep what cannot be read: bytes are kept once, however often they come."""
        quarantined_id = new_id("qrn")
        try:
            with transaction(self._engine) as session:
                quarantine.keep(
                    session,
                    quarantined_id=quarantined_id,
                    raw=raw,
                    digest=hashlib.sha256(raw).digest(),
                    reason=reason,
                    source=Source.WEBHOOK,
                    received_at=received_at,
                )
        except DatabaseUnavailableError:
            logger.warning("unreadable webhook not kept", bytes=len(raw))
            return NOWHERE_TO_KEEP_IT
        logger.error("webhook quarantined", problem=reason, bytes=len(raw))
        return Answer(HTTPStatus.ACCEPTED, Disposition.QUARANTINED)


def _report_unseen_reason(event: Event) -> None:
    if event.kind is Kind.FAILED and event.failure and event.failure.category is Category.OTHER:
        logger.warning("failure reason not seen before", event_id=event.id, reason_shape=shape(event.failure.reason))
