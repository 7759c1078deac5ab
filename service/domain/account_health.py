"""The third rule: whether calls for an account may be made, and what changes that.

An account's EHR login breaks, Cobalt slows down, a person holds an account: then all that waits for it holds, and one
call in a while tries whether it is over. Evidence comes from the replies to calls, from Cobalt's events about accounts,
and from people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

FIRST_PAUSE = timedelta(seconds=1)
"""After the first error of Cobalt's that names no time; it doubles with each that follows."""


class Health(StrEnum):
    """Whether calls for an account may be made. The values are public: dashboards filter by them."""

    HEALTHY = "healthy"
    PAUSED = "paused"  # Cobalt asked for fewer calls, or is not well; it passes by itself
    LOGIN_REQUIRED = "login_required"  # Cobalt refuses every call until a person mends the login
    HELD = "held"  # a person said so


class Cause(StrEnum):
    """What changes an account's health."""

    ANSWERED = "answered"  # Cobalt did what it was asked, or refused it for what the request says
    SLOWED = "slowed"  # 429 or 5xx
    UNREACHED = "unreached"  # a call ended without a status: that is the network, or one request, and no account
    REFUSED = "refused"  # 401 or 403
    TOLD = "told"  # the event that says that the login is needed
    WARNED = "warned"  # the event that says that the password runs out
    RELINKED = "relinked"  # a person stored a new access token
    HOLD = "hold"  # a person holds the account
    RESUME = "resume"  # a person ends that, or has it tried at once


TRANSITIONS: Mapping[tuple[Health, Cause], Health] = MappingProxyType(
    {
        (Health.HEALTHY, Cause.ANSWERED): Health.HEALTHY,
        (Health.HEALTHY, Cause.SLOWED): Health.PAUSED,
        (Health.HEALTHY, Cause.UNREACHED): Health.HEALTHY,
        (Health.HEALTHY, Cause.REFUSED): Health.LOGIN_REQUIRED,
        (Health.HEALTHY, Cause.TOLD): Health.LOGIN_REQUIRED,
        (Health.HEALTHY, Cause.WARNED): Health.HEALTHY,
        (Health.HEALTHY, Cause.RELINKED): Health.HEALTHY,
        (Health.HEALTHY, Cause.HOLD): Health.HELD,
        (Health.HEALTHY, Cause.RESUME): Health.HEALTHY,
        (Health.PAUSED, Cause.ANSWERED): Health.HEALTHY,
        (Health.PAUSED, Cause.SLOWED): Health.PAUSED,
        (Health.PAUSED, Cause.UNREACHED): Health.PAUSED,
        (Health.PAUSED, Cause.REFUSED): Health.LOGIN_REQUIRED,
        (Health.PAUSED, Cause.TOLD): Health.LOGIN_REQUIRED,
        (Health.PAUSED, Cause.WARNED): Health.PAUSED,
        (Health.PAUSED, Cause.RELINKED): Health.PAUSED,
        (Health.PAUSED, Cause.HOLD): Health.HELD,
        (Health.PAUSED, Cause.RESUME): Health.PAUSED,
        (Health.LOGIN_REQUIRED, Cause.ANSWERED): Health.HEALTHY,
        (Health.LOGIN_REQUIRED, Cause.SLOWED): Health.LOGIN_REQUIRED,  # says nothing about the login
        (Health.LOGIN_REQUIRED, Cause.UNREACHED): Health.LOGIN_REQUIRED,
        (Health.LOGIN_REQUIRED, Cause.REFUSED): Health.LOGIN_REQUIRED,
        (Health.LOGIN_REQUIRED, Cause.TOLD): Health.LOGIN_REQUIRED,
        (Health.LOGIN_REQUIRED, Cause.WARNED): Health.LOGIN_REQUIRED,
        (Health.LOGIN_REQUIRED, Cause.RELINKED): Health.LOGIN_REQUIRED,  # the next call shows whether it is mended
        (Health.LOGIN_REQUIRED, Cause.HOLD): Health.HELD,
        (Health.LOGIN_REQUIRED, Cause.RESUME): Health.LOGIN_REQUIRED,
        # What a person said stands until a person takes it back; then one call tries how things are.
        (Health.HELD, Cause.ANSWERED): Health.HELD,
        (Health.HELD, Cause.SLOWED): Health.HELD,
        (Health.HELD, Cause.UNREACHED): Health.HELD,
        (Health.HELD, Cause.REFUSED): Health.HELD,
        (Health.HELD, Cause.TOLD): Health.HELD,
        (Health.HELD, Cause.WARNED): Health.HELD,
        (Health.HELD, Cause.RELINKED): Health.HELD,
        (Health.HELD, Cause.HOLD): Health.HELD,
        (Health.HELD, Cause.RESUME): Health.PAUSED,
    }
)
"""Every pair: there is no evidence for which nothing is declared."""


class Reason(StrEnum):
    """Why an account is as it is: a code of ours, never Cobalt's words. The values are public."""

    TOO_MANY_REQUESTS = "too_many_requests"
    COBALT_ERROR = "cobalt_error"
    LOGIN_REQUIRED = "login_required"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 (a code)
    FORBIDDEN = "forbidden"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 (a code)
    PASSWORD_CHANGE_DUE = "password_change_due"  # noqa: S105 (a code)
    HELD_BY_A_PERSON = "held_by_a_person"
    RESUMED = "resumed"


_LINK = "Link the account at Cobalt again. What waits is sent by itself once Cobalt takes calls for it"
REMEDIES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.TOO_MANY_REQUESTS: "Nothing: what waits is sent as soon as Cobalt takes more calls.",
        Reason.COBALT_ERROR: "Nothing, unless it lasts: then ask Cobalt. What waits is sent when Cobalt is well again.",
        Reason.LOGIN_REQUIRED: f"{_LINK}.",
        Reason.PASSWORD_EXPIRED: f"Change the password of the EHR's user. {_LINK}.",
        Reason.FORBIDDEN: f"Ask Cobalt what the account may do. {_LINK}.",
        Reason.TOKEN_REFUSED: f"Check the access token, and the client's id and secret. {_LINK}; a new access token is "
        "stored with `cobalt-appointments accounts remove` and `accounts add`.",
        Reason.PASSWORD_CHANGE_DUE: "Change the password of the EHR's user before it expires, and link the account "
        "at Cobalt again.",
        Reason.HELD_BY_A_PERSON: "Ask the person who holds it; `cobalt-appointments accounts resume` ends it.",
        Reason.RESUMED: "Nothing: one call tries how things are, and the others follow.",
    }
)
"""What a person can do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stands.

    Args:
        health: Whether calls may be made.
        reason: Why; None for one that is healthy, unless its password runs out.
        since: Since when it is so; None where nothing was ever amiss.
        probe_at: When one call may try whether it is over; None while calls need no such leave, or get none.
        slowed: How often in a row Cobalt slowed it down.
        version: Counts what made older evidence worthless: a call that was begun under another version says nothing.
    """

    health: Health = Health.HEALTHY
    reason: Reason | None = None
    since: datetime | None = None
    probe_at: datetime | None = None
    slowed: int = 0
    version: int = 0

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was ever learned about it."""
        return self == Standing()

    @property
    def may_be_called(self) -> bool:
        """Whether calls may be made without leave."""
        return self.health is Health.HEALTHY

    def is_tried(self, now: datetime) -> bool:
        """Tell whether one call may try now whether the trouble is over."""
        return self.probe_at is not None and self.probe_at <= now

    @property
    def awaits_an_answer(self) -> bool:
        """Whether it says something that a call is answered: of an account that is well, nothing new."""
        return self.health is not Health.HEALTHY or self.slowed > 0

    @property
    def is_tried_by_asking(self) -> bool:
        """Whether the call that tries must not be one that books: after an error nobody knows whether it did."""
        return self.reason is Reason.COBALT_ERROR


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that was learned about an account.

    Args:
        cause: What.
        reason: Why it may not be called; None where it may.
        wait: For how long Cobalt said to wait.
        of_a_question: Whether the call only asked. That one is answered does not show that Cobalt books again.
    """

    cause: Cause
    reason: Reason | None = None
    wait: timedelta | None = None
    of_a_question: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """A person's word that nothing is to be sent for an account."""

    by: str
    why: str | None = None


def judge(standing: Standing, evidence: Evidence, *, now: datetime, interval: timedelta) -> Standing:
    """Apply the rule to one piece of evidence.

    Args:
        standing: Where the account stands.
        evidence: Of a call that was begun under this version, or of a person or an event.
        now: On our clock.
        interval: Between two calls that try whether a login works again.
    """
    health = TRANSITIONS[standing.health, evidence.cause]
    after = replace(standing, slowed=_count(standing, evidence))
    if health is not standing.health:
        after = replace(
            after,
            health=health,
            reason=None if health is Health.HEALTHY else evidence.reason,
            since=now,
            probe_at=None,
            version=standing.version + 1,
        )
    elif _is_repeated_by_a_person(health, evidence.cause):
        after = replace(after, version=standing.version + 1)  # what calls under way will say is about how it was
    return _with_probe(_with_reason(after, evidence), evidence, now=now, interval=interval)


def _count(standing: Standing, evidence: Evidence) -> int:
    if (standing.health, evidence.cause) == (Health.PAUSED, Cause.UNREACHED) or evidence.cause is Cause.SLOWED:
        return standing.slowed + 1
    books = evidence.cause is Cause.ANSWERED and not evidence.of_a_question
    return 0 if books else standing.slowed


def _is_repeated_by_a_person(health: Health, cause: Cause) -> bool:
    """Tell whether a person has an account tried at once."""
    return (health, cause) in {
        (Health.LOGIN_REQUIRED, Cause.RELINKED),
        (Health.LOGIN_REQUIRED, Cause.RESUME),
        (Health.PAUSED, Cause.RESUME),
    }


def _with_reason(standing: Standing, evidence: Evidence) -> Standing:
    match standing.health, evidence.cause:
        case Health.HEALTHY, Cause.WARNED:
            return replace(standing, reason=evidence.reason)
        case Health.HEALTHY, Cause.RELINKED | Cause.RESUME:
            return replace(standing, reason=None)
        case (Health.PAUSED, Cause.SLOWED) | (Health.LOGIN_REQUIRED, Cause.REFUSED | Cause.TOLD):
            known = standing.reason is Reason.PASSWORD_EXPIRED and evidence.reason is Reason.LOGIN_REQUIRED
            return standing if known else replace(standing, reason=evidence.reason)
    return standing


def _with_probe(standing: Standing, evidence: Evidence, *, now: datetime, interval: timedelta) -> Standing:
    """Say when one call may try whether it is over."""
    match standing.health, evidence.cause:
        case (Health.PAUSED | Health.LOGIN_REQUIRED, Cause.RESUME) | (Health.LOGIN_REQUIRED, Cause.RELINKED):
            return replace(standing, probe_at=now)
        case Health.LOGIN_REQUIRED, Cause.TOLD:  # it may be an old story: a call shows; but one, if it is told often
            return replace(standing, probe_at=standing.probe_at or now)
        case Health.LOGIN_REQUIRED, Cause.REFUSED:
            return replace(standing, probe_at=now + interval)
        case Health.PAUSED, Cause.SLOWED | Cause.UNREACHED:
            doubled = min(FIRST_PAUSE * 2 ** min(standing.slowed - 1, 12), interval)
            return replace(standing, probe_at=now + (doubled if evidence.wait is None else evidence.wait))
    return standing


def why_held(standing: Standing) -> str | None:
    """Say why an appointment is not sent, where that is its account; None where it is not."""
    if standing.may_be_called or standing.reason is None:
        return None
    return f"Nothing is sent for its account now, which is {standing.health}. {REMEDIES[standing.reason]}"


class AccountEvent(StrEnum):
    """Cobalt's events about an account [P]."""

    LOGIN_REQUIRED = "access_token.login_required"
    PASSWORD_CHANGE_WARNING = "access_token.password_change_warning"  # noqa: S105 (a type of event)


def read_event(event_type: str, payload: Mapping[str, Any]) -> Evidence | None:
    """Read one of Cobalt's events about an account; None for any other.

    Of what it says only a code that is known here is taken: the rest is free text.
    """
    data = payload.get("data")
    kind = data.get("error_type") if isinstance(data, dict) else None
    match event_type:
        case AccountEvent.LOGIN_REQUIRED:
            expired = kind == Reason.PASSWORD_EXPIRED
            return Evidence(Cause.TOLD, Reason.PASSWORD_EXPIRED if expired else Reason.LOGIN_REQUIRED)
        case AccountEvent.PASSWORD_CHANGE_WARNING:
            return Evidence(Cause.WARNED, Reason.PASSWORD_CHANGE_DUE)
    return None
