"""Runs psycopg's generators on an event loop, for a connection that is used again and again.

psycopg's own ``wait_async`` registers the socket for each wait anew: of a webhook's processor time that was a third.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, TypeVar

from psycopg.waiting import Ready, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGen

RV = TypeVar("RV")


class LoopWait:
    """Waits for one socket of libpq's.

    Args:
        socket: Its descriptor.
        on_broken: Called when the server says something that nobody waits for: it closes the connection.
    """

    def __init__(self, socket: int, on_broken: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._on_broken = on_broken
        self._waiting: asyncio.Future[Ready] | None = None
        self._unread = select.poll()
        self._unread.register(socket, select.POLLIN)
        self._loop.add_reader(socket, self._readable)

    async def run(self, generator: PQGen[RV]) -> RV:
        """Run one generator to its end; one at a time."""
        try:
            wanted = next(generator)
            written = False
            while True:
                if wanted & Wait.W and not written:
                    written, ready = True, Ready.W  # a socket takes what a batch has to say, nearly always
                else:
                    ready = await self._ready(wanted)
                wanted = generator.send(ready)
                written = written and bool(wanted & Wait.W)
        except StopIteration as ended:
            result: RV = ended.value
            return result

    def close(self) -> None:
        """Stop waiting, before the socket is closed."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)

    async def _ready(self, wanted: Wait) -> Ready:
        self._waiting = self._loop.create_future()
        if wanted & Wait.W:
            self._loop.add_writer(self._socket, self._wake, Ready.W)
        try:
            return await self._waiting
        finally:
            self._waiting = None
            if wanted & Wait.W:
                self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        if self._waiting is not None:
            self._wake(Ready.R)
        elif self._unread.poll(0):  # an answer that was read meanwhile is announced once more by asyncio's own loop
            self._on_broken()  # left alone, the loop would hear of it again and again

    def _wake(self, ready: Ready) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(ready)
