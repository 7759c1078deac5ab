"""What reaches us of Cobalt's events: a delivery, how it came, and what of it could be read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from service.domain.exact_json import document

if TYPE_CHECKING:
    from datetime import datetime

    from service.domain.events import Event


class Source(StrEnum):
    """How an event came to us."""

    WEBHOOK = "webhook"
    POLL = "poll"
    SPOOL = "spool"
    REPLAY = "replay"


class Contradiction(NamedTuple):
    """That an event id came before, with another body.

    Args:
        event_id: The event that was recorded under it.
        said: SHA-256 of what the body says that came now.
        recorded: SHA-256 of what the recorded event says.
    """

    event_id: str
    said: bytes
    recorded: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """Authentic bytes that could not be taken as an event, and why, without a value from them."""

    raw: bytes
    reason: str
    contradiction: Contradiction | None = None


class Arrival(NamedTuple):
    """One delivery of something authentic.

    Args:
        said: What Cobalt said, or bytes of its that could not be read.
        source: How it came.
        received_at: When, on our clock.
        request_id: Of the HTTP request that brought it.
        raw: Its bytes, where they are at hand.
    """

    said: Event | Unread
    source: Source
    received_at: datetime
    request_id: str | None = None
    raw: bytes | None = None

    @property
    def is_read(self) -> bool:
        """Whether it could be read."""
        return not isinstance(self.said, Unread)

    @property
    def event(self) -> Event:
        """What Cobalt said, where it could be read."""
        if isinstance(self.said, Unread):
            raise TypeError("this could not be read")
        return self.said

    def quarantined(self, reason: str, contradiction: Contradiction | None = None) -> Arrival:
        """Make of it what goes into the quarantine: nothing that may not be kept."""
        raw = document(self.event.payload) if self.raw is None or not self.event.is_whole else self.raw
        return self._replace(said=Unread(raw, reason, contradiction))
