"""A crowd of connections that say little: opened, kept, fed a byte in a while, and watched until the last is closed."""

import selectors
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from service.lab.attack.wire import CHUNK, connect


@dataclass(frozen=True)
class Manner:
    """How one kind of connection behaves.

    Attributes:
        beginning: is sent at once.
        drip: is sent again and again, a byte in each interval; nothing if empty.
        limit: seconds in which it must be closed, by the service's own settings.
        answered: whether the beginning is a whole request; the seconds count from its answer on.
    """

    name: str
    beginning: bytes
    drip: bytes
    limit: float
    answered: bool = False


@dataclass
class Member:
    """One connection."""

    manner: Manner
    connection: socket.socket
    since: float
    closed: float | None = None
    sent: int = 0


@dataclass
class Crowd:
    """Connections of several manners to one port.

    Args:
        interval: seconds between two bytes of those that drip.
    """

    port: int
    interval: float
    members: list[Member] = field(default_factory=list)
    refused: int = 0
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _drip_at: float = 0.0

    def join(self, manner: Manner) -> None:
        """Open one more connection."""
        try:
            connection = connect(self.port, 2)
            connection.sendall(manner.beginning)
        except OSError:
            self.refused += 1
            return
        connection.setblocking(False)
        member = Member(manner, connection, time.monotonic())
        self.members.append(member)
        self._selector.register(connection, selectors.EVENT_READ, member)

    def watch(self, seconds: float) -> None:
        """Look what becomes of them for a while, and let those drip that do."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(min(left, 0.05)):
                self._hear(key.data)
            if time.monotonic() > self._drip_at:
                self._drip_at = time.monotonic() + self.interval
                for member in self.open():
                    self._drip(member)

    def open(self, manner: Manner | None = None) -> Sequence[Member]:
        """Those that are not closed."""
        return [one for one in self.members if one.closed is None and manner in {None, one.manner}]

    def close(self) -> None:
        """Leave."""
        for member in self.members:
            member.connection.close()
        self._selector.close()

    def slowest(self) -> dict[Manner, float]:
        """Of each manner, after how many seconds the last connection was closed; how long it is open by now."""
        found: dict[Manner, float] = defaultdict(float)
        for one in self.members:
            found[one.manner] = max(found[one.manner], (one.closed or time.monotonic()) - one.since)
        return found

    def _hear(self, member: Member) -> None:
        part = b""
        with suppress(OSError):
            part = member.connection.recv(CHUNK)
        if part and member.manner.answered:
            member.since = time.monotonic()
        if not part:
            self._note_closed(member)

    def _drip(self, member: Member) -> None:
        drip = member.manner.drip
        if drip:
            try:
                member.connection.send(drip[member.sent % len(drip)].to_bytes())
                member.sent += 1
            except BlockingIOError:
                pass
            except OSError:
                self._note_closed(member)

    def _note_closed(self, member: Member) -> None:
        if member.closed is None:
            member.closed = time.monotonic()
            self._selector.unregister(member.connection)
            member.connection.close()
