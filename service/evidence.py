"""Whether something that Cobalt says can be the outcome of a request whose reply was lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from service.events import Event

TOLERANCE = timedelta(minutes=1)
"""EHRs keep appointments to the minute."""
FARTHEST_ZONE = timedelta(hours=14)
"""No zone is farther from UTC."""
ZONE_STEP = timedelta(minutes=15)
"""Every zone's offset is a multiple of this."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that Cobalt says about an appointment that nobody here knows yet.

    Args:
        cobalt_id: The appointment's id at Cobalt.
        mrn: The patient.
        starts_at: When it begins, where that is said.
        providers: The provider's id and name, as far as they are said.
        at: When Cobalt says that this happened, on its clock.
    """

    cobalt_id: str
    mrn: str | None
    starts_at: datetime | None
    providers: frozenset[str]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asked for.

    Args:
        mrn: The patient.
        local: The start on the clinic's wall clock.
        at: The start as an instant, where it was given with an offset.
        zone: The clinic's IANA zone, where it is known.
        provider: The provider's id or name.
        since: Before this, on Cobalt's clock, it cannot have been booked.
    """

    mrn: str
    local: datetime | None
    at: datetime | None
    zone: str | None
    provider: str
    since: datetime


def fits(evidence: Evidence, asked: Asked) -> bool:
    """Tell whether the evidence can be this request's outcome.

    What is not said cannot contradict: a failure names neither start nor, mostly, a provider.
    """
    return (
        evidence.mrn is not None
        and evidence.mrn.strip() == asked.mrn.strip()
        and (evidence.at is None or evidence.at >= asked.since)
        and (evidence.starts_at is None or _starts_together(evidence.starts_at, asked))
        and _provider_fits(evidence.providers, asked.provider)
    )


def from_event(event: Event) -> Evidence | None:
    """See an event as evidence; None when it names no appointment."""
    if event.cobalt_appointment_id is None:
        return None
    confirmed = event.confirmation
    named = [confirmed.provider_id, confirmed.provider_name] if confirmed else []
    if event.failure:
        named.append(event.failure.details.get("provider_name"))
    return Evidence(
        event.cobalt_appointment_id,
        event.mrn,
        confirmed.starts_at if confirmed else None,
        frozenset(name for name in named if isinstance(name, str)),
        event.occurred_at,
    )


def _starts_together(starts_at: datetime, asked: Asked) -> bool:
    if asked.at is not None:
        return abs(starts_at - asked.at) <= TOLERANCE
    if asked.local is None:
        return True
    if asked.zone is not None:
        return abs(starts_at.astimezone(ZoneInfo(asked.zone)).replace(tzinfo=None) - asked.local) <= TOLERANCE
    # The clinic's zone is not known: it is one that exists, then.
    offset = asked.local.replace(tzinfo=UTC) - starts_at
    return abs(offset) <= FARTHEST_ZONE and offset % ZONE_STEP == timedelta()


def _provider_fits(said: frozenset[str], asked: str) -> bool:
    """Compare names with names: an id that was asked for may be confirmed under another one [S]."""
    if not said or asked.strip().isdecimal():
        return True
    return asked.strip().casefold() in {name.strip().casefold() for name in said}
