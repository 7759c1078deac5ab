"""Whether something that Cobalt says can be the outcome of a request whose reply was lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.domain.comparing import comparable, comparable_name
from service.domain.starts import Fit, compare

if TYPE_CHECKING:
    from datetime import datetime

    from service.domain.events import Event


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that Cobalt says about an appointment that nobody here knows yet.

    Args:
        cobalt_id: The appointment's id at Cobalt.
        mrn: The patient.
        start: When it begins as Cobalt writes it, aware if that has an offset; None where it is not said.
        providers: The provider's name and id; empty when no name is said, for an id alone contradicts no name.
        at: When Cobalt says that this happened, on its clock.
        zone: The clinic's zone, where it is said with the start.
        start_is_unreadable: There should be a start, and nobody can say which.
    """

    cobalt_id: str
    mrn: str | None
    start: datetime | None
    providers: frozenset[str]
    at: datetime | None
    zone: str | None = None
    start_is_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asked for.

    Args:
        mrn: The patient.
        start: Aware with the offset that it was given, else on the clinic's wall clock.
        zone: The clinic's zone, where it is known; what Cobalt says with a start comes first.
        provider: The provider's id or name.
        since: Before this, on Cobalt's clock, it cannot have been booked.
    """

    mrn: str
    start: datetime | None
    zone: str | None
    provider: str
    since: datetime


def fits(evidence: Evidence, asked: Asked) -> Fit:
    """Tell whether the evidence can be this request's outcome.

    What is not said cannot contradict: a failure names neither start nor, mostly, a provider. What cannot be read may
    contradict, and is for a person to judge.
    """
    if (
        evidence.mrn is None
        or comparable(evidence.mrn) != comparable(asked.mrn)
        or (evidence.at is not None and evidence.at < asked.since)
        or not _provider_fits(evidence.providers, asked.provider)
    ):
        return Fit.NO
    if evidence.start_is_unreadable:
        return Fit.PERHAPS
    if evidence.start is None or asked.start is None:
        return Fit.YES
    return compare(evidence.start, asked.start, said_zone=evidence.zone, usual_zone=asked.zone)


def from_event(event: Event) -> Evidence | None:
    """See an event as evidence; None when it names no appointment."""
    if event.cobalt_appointment_id is None:
        return None
    confirmed = event.confirmation
    if confirmed:
        providers = _named(confirmed.provider_name, confirmed.provider_id)
    else:
        providers = _named(event.failure.details.get("provider_name") if event.failure else None, None)
    return Evidence(
        event.cobalt_appointment_id,
        event.mrn,
        confirmed.start if confirmed else None,
        providers,
        event.occurred_at,
        confirmed.timezone if confirmed else None,
        start_is_unreadable=confirmed is not None and confirmed.start is None,
    )


def _named(name: object, provider_id: str | None) -> frozenset[str]:
    """Name a provider as far as Cobalt does."""
    if not isinstance(name, str):
        return frozenset()
    return frozenset({name, provider_id} if provider_id else {name})


def _provider_fits(said: frozenset[str], asked: str) -> bool:
    """Compare names with names: an id that was asked for may be confirmed under another one [S]."""
    if not said or comparable(asked).isdecimal():
        return True
    return comparable_name(asked) in map(comparable_name, said)
