"""Owns the comparing of starts: whether the one that Cobalt says is the one asked for, in whatever way each is written.

A start is aware where it was written with an offset, else naive: what hangs on the clinic's wall.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum

from service.domain.times import instants
from service.domain.zones import find_zone

TOLERANCE = timedelta(minutes=1)
"""EHRs keep appointments to the minute."""
FARTHEST_ZONE = timedelta(hours=14)
"""No zone is farther from UTC."""
ZONE_STEP = timedelta(minutes=15)
"""Every zone's offset is a multiple of this."""


class Fit(IntEnum):
    """How well something fits. The least of several is how well all of them do."""

    NO = 0
    PERHAPS = 1
    YES = 2


def compare(said: datetime, asked: datetime, *, said_zone: str | None, usual_zone: str | None = None) -> Fit:
    """Say whether two starts are the same, to the minute.

    Args:
        said: By Cobalt.
        asked: By the caller.
        said_zone: The clinic's zone as Cobalt names it beside the start; it may be no zone at all.
        usual_zone: The zone of the account, which may have clinics in others.
    """
    if said.tzinfo is None and asked.tzinfo is None and _is_near(said, asked):
        return Fit.YES
    on_one_wall = _shows_the_wall(said) and _shows_the_wall(asked) and _is_near(_wall(said), _wall(asked))
    named = find_zone(said_zone)
    zone = named or find_zone(usual_zone)
    said_at, asked_at = instants(said, zone), instants(asked, zone)
    if said_at and asked_at:
        if any(_is_near(one, other) for one in said_at for other in asked_at):
            return Fit.YES
        of_another_clinic = on_one_wall and named is None and None in {said.tzinfo, asked.tzinfo}
        return Fit.PERHAPS if of_another_clinic else Fit.NO
    if _shows_the_wall(said) and _shows_the_wall(asked):
        return Fit.YES if on_one_wall else Fit.NO
    return Fit.YES if _differ_by_a_zone(said, asked) else Fit.NO


def _wall(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _shows_the_wall(moment: datetime) -> bool:
    """Tell whether a start says what hangs on the clinic's wall: one in UTC does not (RFC 9557, 2.2)."""
    return moment.utcoffset() != timedelta(0)


def _is_near(one: datetime, other: datetime) -> bool:
    return abs(one - other) <= TOLERANCE


def _differ_by_a_zone(one: datetime, other: datetime) -> bool:
    """Tell whether a start on a wall and one in UTC can be the same, in some zone that nobody has named."""
    offset = abs(_wall(one).replace(tzinfo=UTC) - _wall(other).replace(tzinfo=UTC))
    to_the_nearest = (offset + ZONE_STEP / 2) % ZONE_STEP - ZONE_STEP / 2
    return offset <= FARTHEST_ZONE + TOLERANCE and abs(to_the_nearest) <= TOLERANCE
