"""Whether something that Cobalt says can be the outcome of a request whose reply was lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from service.times import find_zone

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
        providers: The provider's name and id; empty when no name is said, for an id alone contradicts no name.
        at: When Cobalt says that this happened, on its clock.
        zone: The clinic's zone, where it is said with the start.
    """

    cobalt_id: str
    mrn: str | None
    starts_at: datetime | None
    providers: frozenset[str]
    at: datetime | None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asked for.

    Args:
        mrn: The patient.
        local: The start on the clinic's wall clock.
        at: The start as an instant, where it was given with an offset.
        zone: The clinic's IANA zone, where it is known; what Cobalt says with a start comes first.
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
        and (evidence.starts_at is None or _starts_together(evidence.starts_at, evidence.zone, asked))
        and _provider_fits(evidence.providers, asked.provider)
    )


def from_event(event: Event) -> Evidence | None:
    """See an event as evidence; None when it names no appointment."""
    if event.cobalt_appointment_id is None:
        return None
    confirmed = event.confirmation
    if confirmed:
        providers = named(confirmed.provider_name, confirmed.provider_id)
    else:
        providers = named(event.failure.details.get("provider_name") if event.failure else None, None)
    return Evidence(
        event.cobalt_appointment_id,
        event.mrn,
        confirmed.starts_at if confirmed else None,
        providers,
        event.occurred_at,
        confirmed.timezone if confirmed else None,
    )


def named(name: object, provider_id: str | None) -> frozenset[str]:
    """Name a provider as far as Cobalt does."""
    if not isinstance(name, str):
        return frozenset()
    return frozenset({name, provider_id} if provider_id else {name})


def _starts_together(starts_at: datetime, said_zone: str | None, asked: Asked) -> bool:
    if asked.at is not None:
        return abs(starts_at - asked.at) <= TOLERANCE
    local = asked.local
    if local is None:
        return True
    zone = find_zone(said_zone or "") or find_zone(asked.zone or "")
    if zone is not None:
        # An hour that comes twice may be either; one that never comes is read as events are.
        return any(abs(starts_at - local.replace(tzinfo=zone, fold=fold)) <= TOLERANCE for fold in (0, 1))
    # The clinic's zone is not known: it is one that exists, then.
    offset = local.replace(tzinfo=UTC) - starts_at
    to_the_nearest = (offset + ZONE_STEP / 2) % ZONE_STEP - ZONE_STEP / 2
    return abs(offset) <= FARTHEST_ZONE + TOLERANCE and abs(to_the_nearest) <= TOLERANCE


def _provider_fits(said: frozenset[str], asked: str) -> bool:
    """Compare names with names: an id that was asked for may be confirmed under another one [S]."""
    if not said or asked.strip().isdecimal():
        return True
    return asked.strip().casefold() in {name.strip().casefold() for name in said}
