"""Ask Cobalt for what was missed: outcomes that are overdue, and submissions whose reply was lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from service.domain.states import Disposition
from service.domain.submission import Submission
from service.errors import AppointmentsError, CobaltError
from service.postgres.engine import transaction
from service.postgres.queries import asking, events
from service.telemetry import log, metrics
from service.usecases.access.accounts import get_credentials
from service.usecases.events.apply_each import apply_each
from service.usecases.events.early_failures import take_early_failures
from service.usecases.events.match_waiting import match_waiting
from service.usecases.submissions.adopt import adopt, give_up
from service.usecases.submissions.fetched import arrival_of
from service.usecases.submissions.listed import FAILED, evidence_of, listed_event, status_of
from service.usecases.submissions.slots import Pace, Slots
from service.usecases.submissions.sweep import Sweeper
from service.usecases.upkeep.account_evidence import is_refusal, watching

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

    from service.cobalt import Cobalt, Credentials
    from service.config import Settings
    from service.domain.evidence import Evidence
    from service.postgres.queries.asking import Question

CALLS_AT_ONCE = 8
DAY = timedelta(days=1)

logger = log.get_logger(__name__)


class Asker:
    """Asks Cobalt, a few questions at once, each account at its own pace.

    Args:
        engine: Where the appointments are.
        settings: For accounts and intervals.
        client: The client to Cobalt.
    """

    def __init__(self, engine: Engine, settings: Settings, client: Cobalt) -> None:
        self._engine = engine
        self._settings = settings
        self._client = client
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="ask")
        self._slots = Slots(CALLS_AT_ONCE)
        self._ending = threading.Event()
        self._pace = Pace(settings.ask_rate, self._ending)
        self.sweeper = Sweeper(engine, settings, client, self._pace)

    def run_once(self) -> dict[str, int]:
        """Start asking about as many due appointments as there is room for; returns counts."""
        questions: list[Question] = []
        if self._slots.free:
            now = datetime.now(UTC)
            with self._slots.taking(self._count_due(now)) as allowed:
                questions = self._claim(allowed, now) if allowed else []
                for question in questions:
                    self._calls.submit(self._ask_and_free, question)
                    allowed[question.account] -= 1
        return {"asked": len(questions)}

    def _count_due(self, now: datetime) -> Mapping[str, int]:
        with transaction(self._engine) as session:
            return asking.count_questions(session, most=CALLS_AT_ONCE, left_alone=self._pace.busy(), now=now)

    def _claim(self, allowed: Mapping[str, int], now: datetime) -> list[Question]:
        with transaction(self._engine) as session:
            return asking.claim_questions(session, allowed=allowed, now=now, interval=self._settings.ask_interval)

    def finish(self) -> None:
        """Wait for the questions that are under way; none of them waits for its account's turn any more."""
        self._ending.set()
        self._calls.shutdown(wait=True)
        self.sweeper.finish()

    def ask(self, question: Question) -> str:
        """Ask about one appointment, and do what the answer says.

        Returns:
            ``settled``, ``adopted``, ``failed``, ``candidates`` or ``unknown`` as before.

        Raises:
            CobaltError: Cobalt did not answer.
        """
        with transaction(self._engine) as session:
            credentials = get_credentials(session, self._settings, question.account)
        if question.cobalt_appointment_id:
            return self._ask_outcome(question, credentials)
        found = self._adopt(question, credentials)
        swept = None
        if found == "nothing":
            swept = self._sweep(question)
            found = self._adopt(question, credentials)
        if found == "nothing" and question.status == "processing":
            listed = [one for entry in self._list(question, credentials) if (one := evidence_of(entry))]
            found = self._adopt(question, credentials, listed)
            if found == "nothing" and swept is None and self._gave_up(question):
                return "failed"
        return found if found in {"adopted", "candidates"} else "unknown"

    def _adopt(self, question: Question, credentials: Credentials, listed: Sequence[Evidence] | None = None) -> str:
        zone, ask_after = credentials.timezone, self._settings.ask_after
        return adopt(self._engine, question, listed, zone=zone, ask_after=ask_after)

    def _ask_outcome(self, question: Question, credentials: Credentials) -> str:
        """Ask what became of an appointment whose id is known: all events, else its job's, else the list."""
        swept = self._sweep(question)
        if swept == "settled":
            return swept
        now = datetime.now(UTC)
        if self._apply(self._events_of_job(question, credentials), now):
            return "settled"
        listed = [
            entry
            for entry in self._list(question, credentials)
            if str(entry.get("id", "")) == question.cobalt_appointment_id
        ]
        if self._has_nothing_better(question, listed) and take_early_failures(self._engine, question):
            return "settled"
        told = [listed_event(entry, now, question, zone=credentials.timezone) for entry in listed]
        # Whose list it is: the account's own.
        own = [event | {"access_token_reference_id": credentials.reference} for event in told if event]
        if self._apply(own, now):
            return "settled"
        if question.submission == Submission.UNCONFIRMED and swept is None and self._gave_up(question):
            return "failed"
        return "unknown"

    def _sweep(self, question: Question) -> str | None:
        """Walk over the account's events, which all its open questions share.

        Returns:
            What ``ask`` answers then; None where that leaves the question open, or Cobalt has no such list;
            ``unread`` where it could not be read: absence proves nothing then.
        """
        try:
            swept = self.sweeper.refresh(question.account)
        except CobaltError as error:
            if is_refusal(error):
                raise
            logger.warning("Cobalt lists no events", problem=str(error))
            return None if error.http_status == HTTPStatus.NOT_FOUND else "unread"
        with transaction(self._engine) as session:
            if not asking.is_open(session, question):
                return "settled"
        return None if swept else "unread"

    def _has_nothing_better(self, question: Question, listed: Sequence[dict[str, Any]]) -> bool:
        """Tell whether Cobalt's list knows of no success and of nothing under way; where it shows nothing, in time."""
        overdue = datetime.now(UTC) - question.sent_at > self._settings.overdue_after
        return all(status_of(entry) == FAILED for entry in listed) and (bool(listed) or overdue)

    def _events_of_job(self, question: Question, credentials: Credentials) -> list[dict[str, Any]]:
        """Ask for the events of the appointment's job; none where Cobalt does not know it any more."""
        if not question.cobalt_job_id:
            return []
        self._pace.wait(credentials.account)
        try:
            with watching(self._engine, self._settings, credentials.account):
                return self._client.events_of_job(credentials, question.cobalt_job_id)
        except CobaltError as error:
            if is_refusal(error):
                raise
            logger.warning("Cobalt tells nothing of the job", problem=str(error))
            return []

    def _apply(self, told: Sequence[dict[str, Any]], now: datetime) -> bool:
        """Apply what Cobalt told through the one door; tells whether any of it settled something."""
        arrivals = [arrival_of(payload, now) for payload in told]
        return bool(arrivals) and Disposition.APPLIED in apply_each(self._engine, arrivals)

    def _list(self, question: Question, credentials: Credentials) -> list[dict[str, Any]]:
        day = (question.starts_local or question.starts_at or datetime.now(UTC)).date()
        self._pace.wait(credentials.account)
        with watching(self._engine, self._settings, credentials.account):
            return self._client.list_appointments(
                credentials,
                first=max(day, date.min + DAY) - DAY,  # a day more on both sides: it may count days in another zone
                last=min(day, date.max - DAY) + DAY,
                mrn=question.mrn,
            )

    def _gave_up(self, question: Question) -> bool:
        """Give up, if evidence stayed away for long enough; tell whether that was done."""
        is_time = datetime.now(UTC) - question.sent_at > self._settings.unconfirmed_after
        return is_time and give_up(self._engine, question)

    def _ask_and_free(self, question: Question) -> None:
        with structlog.contextvars.bound_contextvars(appointment_id=question.appointment_id, account=question.account):
            try:
                outcome = self.ask(question)
                metrics.questions.labels(outcome).inc()
                logger.info("asked Cobalt", outcome=outcome, tries=question.asks, state=question.submission)
            except CobaltError as error:
                metrics.questions.labels("no_answer").inc()
                logger.warning("Cobalt could not be asked", problem=str(error))
            except AppointmentsError as error:
                logger.warning("could not ask", problem=type(error).__name__)
            except Exception:
                logger.exception("asking broke")
            finally:
                self._slots.give_back(question.account)


def sweep_unmatched(engine: Engine) -> dict[str, int]:
    """Apply events that wait although their appointment is known; there should never be any."""
    matched = 0
    with transaction(engine) as session:
        overlooked = asking.find_overlooked(session)
    for cobalt_id in overlooked:
        with transaction(engine) as session:
            events.lock_ids(session, [cobalt_id])
            matched += match_waiting(session, cobalt_id, now=datetime.now(UTC))
    if matched:
        logger.warning("events were waiting for a known appointment", count=matched)
    return {"matched": matched}
