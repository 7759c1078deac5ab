"""Find deliveries under the id of a known event whose body says something else: one of the two is not true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

from service.domain.arrivals import Contradiction, Source, Unread
from service.domain.contradictions import contradicts, digest, is_written_alike, read_recorded
from service.telemetry import log, metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from service.domain.arrivals import Arrival

REASON = "an event came before under this id, with another body"

logger = log.get_logger(__name__)


def find_contradicting(
    arrivals: Sequence[Arrival], firsts: Mapping[str, Arrival], known: Mapping[str, str]
) -> dict[int, Arrival]:
    """Compare the deliveries of a batch with what came before under their ids.

    Args:
        arrivals: The batch.
        firsts: Event id -> its first delivery in this batch.
        known: Ids of recorded events -> their payload, as JSON.

    Returns:
        Position in the batch -> what is to be kept in the quarantine.
    """
    if not known and len(firsts) == len(arrivals):
        return {}
    found = {}
    for position, arrival in enumerate(arrivals):
        recorded, first = known.get(arrival.event.id), firsts[arrival.event.id]
        if (recorded is None and first is arrival) or _is_of_a_list(arrival):
            continue
        if recorded is not None and is_written_alike(arrival.event, orjson.loads(recorded)):
            continue  # nearly always; orjson rounds long integers, so for whatever differs it is not good enough
        before = first.event.payload if recorded is None else json.loads(recorded)
        if contradicts(arrival.event, before):
            found[position] = arrival.quarantined(REASON, _contradiction(arrival, before))
    return found


def tell_of_contradictions(arrivals: Sequence[Arrival]) -> None:
    """Alarm those who watch the log and the metrics; who replays one knows of it."""
    for arrival in arrivals:
        if arrival.source is Source.REPLAY or not isinstance(arrival.said, Unread) or not arrival.said.contradiction:
            continue
        metrics.contradictions.labels(arrival.source).inc()
        logger.error(
            "an event id came again with another body: quarantined",
            event_id=arrival.said.contradiction.event_id,
            source=arrival.source,
            request_id=arrival.request_id,
        )


def _is_of_a_list(arrival: Arrival) -> bool:
    """Tell whether we made this event of an entry of Cobalt's list, whose id stays and whose fields may change."""
    return arrival.source is Source.POLL and "listed" in arrival.event.payload


def _contradiction(arrival: Arrival, before: dict[str, Any]) -> Contradiction:
    event = arrival.event
    return Contradiction(event.id, digest(event), digest(read_recorded(event, before) or event))
