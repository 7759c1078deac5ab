"""What passes between the server and the application: a request whose body is whole, and an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from service.web.policy.later import Later

Headers = Sequence[tuple[bytes, bytes]]


class Rest(Protocol):
    """What follows of an answer that is too long to be made at once."""

    async def next_piece(self) -> bytes | None:
        """Return the next piece, or None after the last one."""

    async def close(self) -> None:
        """Release what the application holds for this answer. Called once, read to its end or not."""


@dataclass(slots=True)
class Answer:
    """What a request is answered.

    Args:
        status: The HTTP status.
        headers: With lower-case names.
        content: All of the body, or its beginning.
        rest: What follows, if anything does.
        later: Where this is no answer yet: how to make it, when it is due.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    content: bytes = b""
    rest: Rest | None = None
    later: Later | None = None


@dataclass(slots=True)
class Request:
    """One HTTP request. Its body is empty until all of it has come.

    Args:
        method: In capitals.
        target: What stands in the request line: a path with a query, or a whole URL.
        headers: With lower-case names, in the order in which they came.
        version: Of HTTP.
        client: The address of the peer.
        internal: Whether it came in by the address for operations.
    """

    method: str
    target: bytes
    headers: Headers
    version: str = "1.1"
    client: str = ""
    internal: bool = False
    body: bytes = b""
    path: bytes = field(init=False)
    query: bytes = field(init=False)
    began: float = field(default_factory=time.perf_counter, init=False)
    _gone: asyncio.Future[None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        path, _, self.query = self.target.partition(b"?")
        if not path.startswith(b"/") and b"://" in path:  # the absolute form, RFC 9112, 3.2.2
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        self.path = path

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of this lower-case name."""
        for one, value in self.headers:
            if one == name:
                return value
        return None

    @property
    def announced(self) -> int | None:
        """The length that the body will have, in bytes; None when the request does not say."""
        length = self.header(b"content-length")
        return None if length is None else int(length)

    async def gone(self) -> None:
        """Wait until the client has gone away, which it may never do."""
        if self._gone is None:
            self._gone = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._gone)

    def client_left(self) -> None:
        """Note that the client has gone away; the server calls it."""
        if self._gone is None:
            self._gone = asyncio.get_running_loop().create_future()
        if not self._gone.done():
            self._gone.set_result(None)


class Application(Protocol):
    """What the server serves."""

    def admit(self, request: Request) -> int | Answer:
        """Judge a request by its head: return how many bytes its body may have, or the answer that refuses it."""

    def refuse(self, status: int, detail: str, request: Request | None) -> Answer:
        """Make the answer for a request that the server cannot read, or that is too large or too slow."""

    async def __call__(self, request: Request) -> Answer:
        """Answer a request. It is not cancelled when the client goes away."""
