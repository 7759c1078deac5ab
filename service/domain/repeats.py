"""Whether an event tells an outcome again that another one, under another id, has told already.

A row of ``GET /webhook-events`` may have an id of its own [P]: then one outcome comes under two ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.domain.contradictions import said
from service.domain.events import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from service.domain.events import Event


def find_repeated(event: Event, judged: Iterable[Event], since: datetime | None) -> Event | None:
    """Find the event whose outcome this one tells again; None where it is news.

    Cobalt's robot ends an attempt once. What a failure of another attempt said, this attempt may end in too.

    Args:
        event: About to be judged.
        judged: The events by which its appointment was judged before.
        since: When the current attempt began; None while nobody knows.
    """
    return next((one for one in judged if tells_the_same(event, one) and _is_of_one_attempt(event, one, since)), None)


def tells_the_same(event: Event, other: Event) -> bool:
    """Tell whether two events, whatever their ids and dates, say the same of an appointment."""
    if event.kind is not other.kind:
        return False
    # What is written alike need not be brought into one form first.
    return event.payload.get("data") == other.payload.get("data") or said(event) == said(other)


def _is_of_one_attempt(event: Event, other: Event, since: datetime | None) -> bool:
    if event.kind is Kind.CREATED:
        return True
    return since is not None and (event.occurred_at >= since) == (other.occurred_at >= since)
