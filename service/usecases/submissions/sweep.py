"""The sweep: walk over Cobalt's events of an account, and feed what is not known yet through the one door.

Cobalt keeps every outcome, whether or not its webhook arrived. So one walk finds all that was missed: while this
service was down, of requests whose job's id was never learned, and for creates whose reply was lost.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from service.domain.event_walk import Page, walk
from service.domain.states import Disposition
from service.errors import AppointmentsError, CobaltError
from service.postgres.engine import transaction
from service.postgres.queries import account_health, events, sweeps
from service.telemetry import log, metrics
from service.usecases.access.accounts import account_timezones, get_credentials
from service.usecases.events.apply_each import apply_each
from service.usecases.submissions.fetched import arrival_of
from service.usecases.upkeep.account_evidence import watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from service.cobalt import Cobalt, Credentials
    from service.config import Settings
    from service.domain.arrivals import Arrival
    from service.usecases.submissions.slots import Pace

DAY = timedelta(days=1)
WALKS_AT_ONCE = 2
LEASE_MARGIN = timedelta(seconds=15)
"""How long applying a page may take, beyond the call that fetches it."""
FOR_THE_WEBHOOK = timedelta(seconds=15)
"""How young an event is left to its webhook: Cobalt sends it twice within 8 seconds [P]."""

logger = log.get_logger(__name__)


@dataclass(slots=True)
class Swept:
    """What a walk came to.

    Args:
        calls: Calls to Cobalt.
        events: Events that were not known.
        settled: Of those, the ones that an appointment's status rests on now.
    """

    calls: int = 0
    events: int = 0
    settled: int = 0


class Sweeper:
    """Walks over the events of one account after the other; of all workers, one at a time for each account.

    Args:
        engine: Where the appointments are.
        settings: For accounts and intervals.
        client: The client to Cobalt.
        pace: What spaces the calls of an account.
    """

    def __init__(self, engine: Engine, settings: Settings, client: Cobalt, pace: Pace) -> None:
        self._engine = engine
        self._settings = settings
        self._client = client
        self._pace = pace
        self._calls = ThreadPoolExecutor(WALKS_AT_ONCE, thread_name_prefix="sweep")
        self._running: set[Future[None]] = set()
        self._walking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._is_new = True

    def run_once(self) -> dict[str, int]:
        """Start the walk that is due for longest, if there is room; return counts."""
        self._running = {one for one in self._running if not one.done()}
        if len(self._running) >= WALKS_AT_ONCE:
            return {"started": 0}
        now = datetime.now(UTC)
        with transaction(self._engine) as session:
            accounts = account_timezones(session, self._settings)
            sweeps.ensure(session, accounts, now=now)
            if self._is_new:  # nobody may have worked for a while
                sweeps.request_all(session, now=now)
            account = sweeps.find_due(session, account_health.may_be_called(session, accounts), now=now)
        self._is_new = False
        if account is not None:
            self._running.add(self._calls.submit(self._sweep_and_log, account))
        return {"started": int(account is not None)}

    def finish(self) -> None:
        """Wait for the walks that are under way."""
        self._calls.shutdown(wait=True)

    def refresh(self, account: str) -> bool:
        """Walk over an account's events, unless that was done within ``ASK_INTERVAL``: open questions share a walk.

        Returns:
            Whether it was walked over. If not, another worker is walking, or was killed in the middle of it.

        Raises:
            CobaltError: Cobalt did not answer.
        """
        with self._walking[account]:
            with transaction(self._engine) as session:
                swept_at = sweeps.swept_at(session, account)
            is_fresh = swept_at is not None and datetime.now(UTC) - swept_at < self._settings.ask_interval
            return is_fresh or self._sweep(account, None, timedelta(0)) is not None

    def sweep(self, account: str, *, since: datetime | None = None, leave: timedelta = timedelta(0)) -> Swept | None:
        """Walk over an account's events.

        Args:
            account: Whose.
            since: From when on; from the high-water mark, where it is not given.
            leave: Events that are younger are left to their webhooks.

        Returns:
            What came of it; None while another worker is walking.

        Raises:
            CobaltError: Cobalt did not answer all of it. What came is applied; the mark stays.
        """
        with self._walking[account]:
            return self._sweep(account, since, leave)

    def _sweep(self, account: str, since: datetime | None, leave: timedelta) -> Swept | None:
        began = datetime.now(UTC)
        with transaction(self._engine) as session:
            credentials = get_credentials(session, self._settings, account)
            sweeps.ensure(session, [account], now=began)
            claimed = sweeps.claim(session, account, now=began, lease_until=self._lease())
            if claimed is None:
                return None
            known_to = claimed.swept_to or sweeps.oldest_open(session, account) or began
        if claimed.swept_to and began - claimed.swept_to > self._settings.sweep_interval * 2:
            logger.info("events are fetched after a pause", account=account, seconds=(began - known_to).total_seconds())
        try:
            since = (since or known_to) - self._settings.sweep_overlap
            return self._walk(credentials, began, since=since, until=began - leave)
        except BaseException:
            with transaction(self._engine) as session:
                sweeps.put_off(session, account, due_at=began + self._jittered(self._settings.ask_interval))
            raise

    def _walk(self, credentials: Credentials, began: datetime, *, since: datetime, until: datetime) -> Swept:
        swept, is_whole = Swept(), True

        def fetch(number: int) -> Page[Arrival]:
            self._pace.wait(credentials.account)
            swept.calls += 1
            with watching(self._engine, self._settings, credentials.account):
                page = self._client.list_events(
                    credentials, first=_days_before(since), last=began.date() + DAY, page=number
                )
            return Page([arrival_of(row, began) for row in page.rows], page.pages, page.total)

        for arrivals in walk(fetch, time_of=_time_of, since=since):
            unknown = self._unknown(arrivals)
            new = [one for one in unknown if not one.is_read or one.event.occurred_at <= until]
            is_whole = is_whole and len(new) == len(unknown)
            swept.events += len(new)
            if new:
                answers = apply_each(self._engine, new)
                swept.settled += answers.count(Disposition.APPLIED)
            with transaction(self._engine) as session:
                sweeps.renew(session, credentials.account, lease_until=self._lease())
        metrics.swept_events.inc(swept.events)
        every = self._settings.sweep_interval if self._settings.takes_webhooks else self._settings.poll_interval
        if not is_whole:  # what was left to its webhook is looked for again
            every = min(every, FOR_THE_WEBHOOK)
        with transaction(self._engine) as session:
            sweeps.finish(
                session, credentials.account, swept_to=until, swept_at=began, due_at=began + self._jittered(every)
            )
        return swept

    def _unknown(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Pick what is not recorded yet: to record that a known event was listed too would tell nobody anything."""
        with transaction(self._engine) as session:
            known = set(events.find_known_events(session, {one.event.id for one in arrivals if one.is_read}))
        return [one for one in arrivals if not one.is_read or one.event.id not in known]

    def _sweep_and_log(self, account: str) -> None:
        with structlog.contextvars.bound_contextvars(account=account):
            try:
                swept = self.sweep(account, leave=FOR_THE_WEBHOOK if self._settings.takes_webhooks else timedelta(0))
            except CobaltError as error:
                metrics.sweeps.labels("no_answer").inc()
                logger.warning("Cobalt could not be asked for events", problem=str(error))
            except AppointmentsError as error:
                logger.warning("could not sweep", problem=type(error).__name__)
            except Exception:
                logger.exception("sweeping broke")
            else:
                if swept is not None:
                    metrics.sweeps.labels("done").inc()
                    if swept.events:
                        logger.info("events were fetched", count=swept.events, settled=swept.settled)

    def _lease(self) -> datetime:
        return datetime.now(UTC) + self._settings.cobalt_timeout + LEASE_MARGIN

    @staticmethod
    def _jittered(duration: timedelta) -> timedelta:
        return duration * random.uniform(0.9, 1.1)  # noqa: S311 (spreads load, guards nothing)


def _days_before(since: datetime) -> date:
    """Return the first day to ask for: Cobalt may count days in another zone."""
    return since.date() - DAY if since.date() > date.min + DAY else since.date()


def _time_of(arrival: Arrival) -> datetime | None:
    return arrival.event.occurred_at if arrival.is_read else None
