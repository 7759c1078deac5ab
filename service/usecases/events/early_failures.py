"""Take a failure for that of an attempt although Cobalt dates it before: when it came since, and nothing else came."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.domain.states import Status
from service.domain.submission import WITH_COBALT
from service.postgres.engine import transaction
from service.postgres.queries import appointments, decisions, events
from service.telemetry import log
from service.usecases.events.match_waiting import settle_by
from service.usecases.events.settling import begin

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.postgres.queries.asking import Question

logger = log.get_logger(__name__)


def take_early_failures(engine: Engine, question: Question) -> bool:
    """Have an attempt begin earlier, if failures came since its call that are dated before its beginning.

    The machine that dates failures may be behind the one that answers calls. Call it only when Cobalt was asked, and
    tells no other outcome: a failure of the attempt before that came late is told from these by its date alone.

    Returns:
        Whether there were such failures; then the appointment has failed.
    """
    cobalt_id = question.cobalt_appointment_id
    if cobalt_id is None:
        return False
    now = datetime.now(UTC)
    with transaction(engine) as session:
        events.lock_ids(session, [cobalt_id])
        row = appointments.lock_appointment(session, question.appointment_id)
        if row is None or row.status != Status.PROCESSING or row.sent_at != question.sent_at:
            return False
        if row.submission not in WITH_COBALT:  # it turned out that this call never left
            return False
        early = events.find_early_failures(session, row.id, sent_at=question.sent_at)
        if not early:
            return False
        decisions.record(session, row, "reassigned", person=None, now=now)
        begin(row, min(events.read_recorded(one).occurred_at for one in early))
        session.flush()
        settle_by(session, appointments.as_locked(row), early, now=now)
    logger.warning(
        "a failure that is dated before its attempt was taken for it",
        appointment_id=question.appointment_id,
        count=len(early),
    )
    return True
