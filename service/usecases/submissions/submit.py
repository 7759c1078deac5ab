"""Submit due appointments to Cobalt: claim, call outside any transaction, record."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from service import cobalt
from service.domain.request_fields import as_sent, changed_fields
from service.errors import DatabaseUnavailableError
from service.postgres.engine import transaction
from service.postgres.queries import appointments, events, submissions
from service.postgres.queries.due import count_due
from service.telemetry import log, metrics
from service.usecases.access.accounts import get_credentials
from service.usecases.submissions.record_reply import UNAUTHORIZED_PAUSE, record_reply, suppose_begun
from service.usecases.submissions.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Engine

    from service.config import Settings
    from service.postgres.queries.submissions import Claim

RECORD_AGAIN = 0.5
"""Seconds between tries to record a reply while PostgreSQL is away: until then only we know it."""

logger = log.get_logger(__name__)


class Submitter:
    """Keeps up to ``cobalt_concurrency`` calls in flight, which the accounts share.

    Args:
        engine: Where the appointments are.
        settings: For accounts, concurrency and the time-out.
        client: The client to Cobalt.
        on_done: Called, from another thread, after each call: there is room for the next.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        client: cobalt.Cobalt,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._client = client
        self._on_done = on_done
        self._calls = ThreadPoolExecutor(settings.cobalt_concurrency, thread_name_prefix="submit")
        self._slots = Slots(settings.cobalt_concurrency)
        self._paused: dict[str, datetime] = {}  # each worker learns for itself; a restart forgets, and asks once

    def run_once(self) -> dict[str, int]:
        """Start as many due calls as there is room for; returns counts, without waiting for the calls."""
        claims: list[Claim] = []
        if self._slots.free:
            now = datetime.now(UTC)
            with self._slots.taking(self._count_due(now)) as allowed:
                claims = self._claim(allowed, now) if allowed else []
                for claim in claims:
                    self._calls.submit(self._call, claim)
                    allowed[claim.account] -= 1
        return {"claimed": len(claims)}

    def finish(self) -> None:
        """Wait until the calls in flight are made and recorded; nothing can be started afterwards."""
        self._calls.shutdown(wait=True)

    def _count_due(self, now: datetime) -> dict[str, int]:
        # A copy, because the calls' threads write to it meanwhile.
        paused = [account for account, until in self._paused.copy().items() if until > now]
        with transaction(self._engine) as session:
            return count_due(
                session, submissions.COUNT_QUEUED, most=self._settings.cobalt_concurrency, left_alone=paused, now=now
            )

    def _claim(self, allowed: Mapping[str, int], now: datetime) -> list[Claim]:
        lease_until = now + self._settings.cobalt_timeout + self._settings.lease_margin
        with transaction(self._engine) as session:
            return submissions.claim(session, allowed=allowed, now=now, lease_until=lease_until)

    def _call(self, claim: Claim) -> None:
        began = time.monotonic()
        try:
            with structlog.contextvars.bound_contextvars(
                request_id=claim.request_id, appointment_id=claim.appointment_id, account=claim.account
            ):
                reply = self._ask_cobalt(claim)
                took = datetime.now(UTC) - claim.sent_at
                self._pause_after(reply, claim.account)
                submission = self._record(claim, reply, took)
                metrics.submissions.labels(claim.operation, submission).inc()
                logger.info(
                    "submission answered",
                    outcome=type(reply).__name__,
                    submission=submission,
                    operation=claim.operation,
                    attempt=claim.attempt,
                    tries=claim.tries,
                    cobalt_appointment_id=getattr(reply, "cobalt_appointment_id", None),
                    error=getattr(reply, "error", None),
                    http_status=getattr(reply, "http_status", None),
                    seconds=round(time.monotonic() - began, 3),
                )
        except Exception:
            # The lease runs out and the row becomes unconfirmed: nothing is lost, nothing is sent again.
            logger.exception("submission broke", appointment_id=claim.appointment_id)
        finally:
            self._slots.give_back(claim.account)
            self._on_done()

    def _ask_cobalt(self, claim: Claim) -> cobalt.Reply:
        try:
            with transaction(self._engine) as session:
                credentials = get_credentials(session, self._settings, claim.account)
            body = as_sent(claim.request, credentials.time_format, credentials.timezone)
            taken = as_sent(claim.accepted_request or {}, credentials.time_format, credentials.timezone)
        except Exception as error:
            # Whatever is wrong with the account or the database, the request has not left.
            logger.exception("submission could not be prepared")
            return cobalt.NeverLeft(type(error).__name__)
        if not claim.cobalt_appointment_id:
            return self._client.create(credentials, body)
        return self._client.correct(credentials, claim.cobalt_appointment_id, changed_fields(body, taken) or body)

    def _pause_after(self, reply: cobalt.Reply, account: str) -> None:
        if isinstance(reply, cobalt.Unauthorized):
            self._pause(account, UNAUTHORIZED_PAUSE)
            logger.error("account refused: check its access token", account=account, http_status=reply.http_status)
        elif isinstance(reply, cobalt.Throttled):
            self._pause(account, reply.retry_after)
            logger.warning("account slowed down", account=account, seconds=reply.retry_after.total_seconds())

    def _pause(self, account: str, duration: timedelta) -> None:
        until = datetime.now(UTC) + duration
        self._paused[account] = max(until, self._paused.get(account, until))

    def _record(self, claim: Claim, reply: cobalt.Reply, took: timedelta) -> str:
        give_up = time.monotonic() + (self._settings.cobalt_timeout + self._settings.lease_margin).total_seconds() * 4
        while True:
            try:
                return record_reply(self._engine, claim, reply, ask_after=self._settings.ask_after, took=took)
            except DatabaseUnavailableError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(RECORD_AGAIN)


def expire_leases(engine: Engine) -> dict[str, int]:
    """Notice calls whose worker was lost in the middle; returns counts."""
    now = datetime.now(UTC)
    with transaction(engine) as session:
        events.lock_ids(session, submissions.find_expired(session, now=now))
        lost = submissions.expire_leases(session, now=now, error="the worker was lost during the call")
        for appointment_id in lost:
            row = appointments.lock_appointment(session, appointment_id)
            if row:
                suppose_begun(session, row, now)
    for appointment_id in lost:
        logger.warning("submission unconfirmed: its worker was lost", appointment_id=appointment_id)
    return {"expired": len(lost)}
