"""Take note of what shows whether an account may be called: the one way to its health."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from service.domain.account_health import AccountEvent, Cause, Evidence, Health, Reason, judge, read_event
from service.domain.states import Disposition
from service.postgres.queries import account_health, events
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from service.domain.account_health import Hold, Standing
    from service.domain.arrivals import Arrival

logger = log.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What evidence made of an account; said once, after it is committed."""

    account: str
    before: Standing
    after: Standing

    def tell(self) -> None:
        """Tell those who watch the log."""
        said = {"account": self.account, "state": self.after.health.value, "problem": self.after.reason}
        if self.before.health is self.after.health:
            if self.after.reason is Reason.PASSWORD_CHANGE_DUE:
                logger.warning("the password of an account runs out", **said)
            return
        match self.after.health:
            case Health.LOGIN_REQUIRED:
                logger.error("Cobalt refuses an account: nothing is sent for it until its login is mended", **said)
            case Health.PAUSED:
                logger.warning("an account pauses", **said)
            case Health.HELD:
                logger.warning("a person holds an account", **said)
            case Health.HEALTHY:
                logger.info("an account is healthy again", **said)


def note(
    session: Session,
    account: str,
    evidence: Evidence,
    *,
    now: datetime,
    interval: timedelta = timedelta(0),
    version: int | None = None,
    hold: Hold | None = None,
) -> Change | None:
    """Take note of evidence in the caller's transaction, which must not have locked an appointment yet.

    Args:
        session: In which transaction.
        account: Which account.
        evidence: What was learned about it.
        now: On our clock.
        interval: Between two calls that try whether a login works again; only for the evidence of calls.
        version: Under which the call was begun; None for evidence that is no call's.
        hold: Who holds it, if that is the evidence.

    Returns:
        What changed, to be told after the commit; None when nothing did, or the evidence came too late.
    """
    if version is not None and account_health.find(session, account).version != version:
        return None  # seen without a lock, for many calls may be refused at once
    before = account_health.lock(session, account)
    if version is not None and before.version != version:
        return None
    after = judge(before, evidence, now=now, interval=interval)
    if after == before and hold is None:
        return None
    account_health.write(session, account, after, hold)
    return Change(account, before, after)


def note_events(
    session: Session, arrivals: Sequence[Arrival], *, now: datetime
) -> tuple[dict[str, Disposition], list[Change]]:
    """Take note of Cobalt's events about accounts, before any appointment is locked.

    Returns:
        What became of each that is about an account of ours, by its id; and what changed.
    """
    told = {
        arrival.event.id: (arrival.event, evidence)
        for arrival in arrivals
        if (evidence := read_event(arrival.event.type, arrival.event.payload)) is not None
    }
    for known in events.find_known_events(session, told) if told else ():
        del told[known]  # what is told again is nothing new
    if not told:
        return {}, []
    references = {event.account_reference for event, _ in told.values() if event.account_reference}
    accounts = account_health.find_called(session, references)
    dispositions: dict[str, Disposition] = {}
    changes: list[Change] = []
    # In the order of the accounts, as everyone locks them.
    for event, evidence in sorted(told.values(), key=lambda one: accounts.get(one[0].account_reference or "", "")):
        account = accounts.get(event.account_reference or "")
        if account is None:
            continue
        since = account_health.find(session, account).since
        if since is not None and event.occurred_at < since:
            dispositions[event.id] = Disposition.SUPERSEDED  # what is known is newer
            continue
        change = note(session, account, evidence, now=now)
        changes += [change] if change else []
        dispositions[event.id] = Disposition.NOTED
    return dispositions, changes


def is_about_an_account(arrival: Arrival) -> bool:
    """Tell whether this is an event that may change an account's health."""
    return arrival.event.type in _TYPES


_TYPES = frozenset(map(str, AccountEvent))


def tell(changes: Sequence[Change | None]) -> None:
    """Tell of changes; after the commit."""
    for change in changes:
        if change is not None:
            change.tell()


PERSONS: Mapping[Cause, Evidence] = {
    Cause.HOLD: Evidence(Cause.HOLD, Reason.HELD_BY_A_PERSON),
    Cause.RESUME: Evidence(Cause.RESUME, Reason.RESUMED),
    Cause.RELINKED: Evidence(Cause.RELINKED),
}
"""What people do."""
