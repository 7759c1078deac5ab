"""Submit due appointments to Cobalt: claim, call outside any transaction, record."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from service import cobalt
from service.domain.account_health import Cause, Standing
from service.domain.request_fields import as_sent, changed_fields
from service.errors import DatabaseUnavailableError
from service.postgres.engine import transaction
from service.postgres.queries import account_health, appointments, events, submissions
from service.postgres.queries.due import count_due
from service.telemetry import log, metrics
from service.usecases.access.accounts import get_credentials
from service.usecases.submissions.record_reply import record_reply, suppose_begun
from service.usecases.submissions.slots import Ramp, Slots
from service.usecases.submissions.try_account import try_account
from service.usecases.upkeep.account_evidence import keep, shown_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

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
        self._ramp = Ramp(settings.cobalt_concurrency)

    def run_once(self) -> dict[str, int]:
        """Start as many due calls as there is room for; returns counts, without waiting for the calls."""
        claims: list[Claim] = []
        tried: set[str] = set()
        if self._slots.free:
            now = datetime.now(UTC)
            due, standings = self._look(now)
            with self._slots.taking(due) as allowed:
                if allowed:
                    claims, tried = self._claim(allowed, standings, now)
                for claim in claims:
                    self._calls.submit(self._call, claim, standings.get(claim.account, Standing()))
                    allowed[claim.account] -= 1
                for account in tried:
                    self._calls.submit(self._try_account, account, standings[account])
                    allowed[account] -= 1
        return {"claimed": len(claims), "tried": len(tried)}

    def finish(self) -> None:
        """Wait until the calls in flight are made and recorded; nothing can be started afterwards."""
        self._calls.shutdown(wait=True)

    def _look(self, now: datetime) -> tuple[dict[str, int], dict[str, Standing]]:
        """Find how much is due of each account, one of those that may be tried again, and where accounts stand."""
        with transaction(self._engine) as session:
            standings = account_health.find_all(session)
            due = count_due(
                session, submissions.COUNT_QUEUED, most=self._settings.cobalt_concurrency, left_alone=(), now=now
            )
        self._ramp.begin(account for account, standing in standings.items() if not standing.may_be_called)
        to_try = {account: 1 for account, standing in standings.items() if standing.is_tried(now)}
        return self._ramp.limit(due, self._slots) | to_try, standings

    def _claim(
        self, allowed: Mapping[str, int], standings: dict[str, Standing], now: datetime
    ) -> tuple[list[Claim], set[str]]:
        """Claim calls, of accounts in trouble one to try each; and those accounts that are to be tried by asking."""
        lease_until = now + self._settings.cobalt_timeout + self._settings.lease_margin
        well = {
            account: most
            for account, most in allowed.items()
            if account not in standings or standings[account].may_be_called
        }
        with transaction(self._engine) as session:
            tried = account_health.claim_probes(
                session, accounts=allowed.keys() - well.keys(), now=now, interval=self._settings.account_probe_interval
            )
            claims = submissions.claim(session, allowed=well, now=now, lease_until=lease_until)
            by_booking = {account: 1 for account, standing in tried.items() if not standing.is_tried_by_asking}
            claims += submissions.claim(
                session, allowed=by_booking, now=now, lease_until=lease_until, although_held=True
            )
        standings |= tried
        return claims, tried.keys() - {one.account for one in claims}

    def _call(self, claim: Claim, standing: Standing) -> None:
        began = time.monotonic()
        try:
            with structlog.contextvars.bound_contextvars(
                request_id=claim.request_id, appointment_id=claim.appointment_id, account=claim.account
            ):
                reply = self._ask_cobalt(claim)
                took = datetime.now(UTC) - claim.sent_at
                self._learn(claim.account, reply, standing)
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

    def _learn(self, account: str, reply: cobalt.Reply, standing: Standing) -> None:
        """Keep what a reply shows about its account, before the row can be claimed again."""
        evidence = shown_by(reply)
        keep(self._engine, self._settings, account, evidence, standing)
        if evidence.cause is Cause.ANSWERED:
            self._ramp.widen(account)

    def _try_account(self, account: str, standing: Standing) -> None:
        try:
            try_account(self._engine, self._settings, self._client, account, standing)
        finally:
            self._slots.give_back(account)
            self._on_done()

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
