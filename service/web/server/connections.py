"""All connections of one process: how many there are, how much they hold, and which must go."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

from service.telemetry import metrics

if TYPE_CHECKING:
    from service.config import Settings


class Limits(NamedTuple):
    """What one connection may take; in seconds.

    Args:
        first_byte: From its opening to the first byte of a request.
        head: From there to the end of the headers.
        body: From there to the end of the body.
        silence: From an answer to the next request.
        send: For which nothing of an answer is read.
    """

    first_byte: float
    head: float
    body: float
    silence: float
    send: float

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        """Read them from the settings."""
        return cls(
            settings.first_byte_timeout.total_seconds(),
            settings.head_timeout.total_seconds(),
            settings.body_timeout.total_seconds(),
            settings.keepalive_timeout.total_seconds(),
            settings.send_timeout.total_seconds(),
        )


class Member(Protocol):
    """A connection, as the others see it.

    Attributes:
        deadline: When it must be over with what is waited for, on the loop's clock.
        held: Bytes of unfinished or unanswered requests that it holds.
    """

    deadline: float
    held: int

    def expire(self) -> None:
        """End, for the deadline has passed."""

    def abort(self) -> None:
        """Close at once."""

    def finish(self, until: float) -> None:
        """Close when what is under way is answered, or at once when nothing is."""


class Connections:
    """The connections of one process, all on its event loop.

    Above a limit the one goes that has kept us waiting for longest; who is being answered stays.

    Args:
        most: Connections at once.
        most_bytes: Bytes of unfinished or unanswered requests at once.
    """

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._members: set[Member] = set()
        self._waiting: dict[Member, None] = {}  # for bytes of the peer's, the longest first
        self._held = 0
        self.ending = False
        self._all_left = asyncio.Event()

    def __len__(self) -> int:
        return len(self._members)

    async def until_all_left(self) -> None:
        """Wait, after ``finish``, until no connection is open."""
        if self._members:
            await self._all_left.wait()

    def enter(self, member: Member) -> bool:
        """Take a new connection in; False when there is no room, for all others are being answered."""
        if len(self._members) >= self._most:
            oldest = next(iter(self._waiting), None)
            metrics.connection_closed("limit")
            if oldest is None:
                return False
            self._drop(oldest)
        self._members.add(member)
        self._waiting[member] = None
        return True

    def leave(self, member: Member) -> None:
        """Forget a connection; once more changes nothing."""
        self._members.discard(member)
        self._waiting.pop(member, None)
        self.release(member)
        if not self._members:
            self._all_left.set()

    def wait(self, member: Member) -> None:
        """Note that a connection has nothing to be answered from now on."""
        self._waiting[member] = None

    def answer(self, member: Member) -> None:
        """Note that a connection is being answered from now on."""
        self._waiting.pop(member, None)

    def hold(self, member: Member, size: int) -> bool:
        """Note that a connection holds so many bytes more; False when nothing can make room for them."""
        member.held += size
        self._held += size
        while self._held > self._most_bytes:
            oldest = next((one for one in self._waiting if one.held), None)
            if oldest is None:
                return False
            metrics.connection_closed("bytes")
            self._drop(oldest)
        return True

    def release(self, member: Member) -> None:
        """Note that a connection holds nothing any more."""
        self._held -= member.held
        member.held = 0

    def sweep(self, now: float) -> None:
        """End those whose deadline has passed."""
        for member in [one for one in self._members if one.deadline <= now]:
            member.expire()

    def finish(self, until: float) -> None:
        """Take no more requests; end each connection when what is under way on it is answered.

        Args:
            until: When those that have not begun a request are closed, on the loop's clock.
        """
        self.ending = True
        self._all_left.clear()
        for member in list(self._members):
            member.finish(until)

    def _drop(self, member: Member) -> None:
        self.leave(member)
        member.deadline = math.inf
        member.abort()
