"""A tiny load balancer before the web instances: webhooks go to whichever of them takes the connection."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Sequence
from typing import Self

CHUNK = 65536


class Balancer:
    """Passes bytes on, in a thread of its own; a context manager.

    It does what load balancers do and no more: take turns, and try the next instance when one refuses the
    connection. A request that was under way when its instance died is not repeated: that is Cobalt's to do.

    Args:
        port: of 127.0.0.1, to listen on.
        targets: the ports of the web instances.
    """

    def __init__(self, port: int, targets: Sequence[int]) -> None:
        self.port = port
        self._targets = targets
        self._turns = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        if self._server:
            self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = next(self._turns)
        with contextlib.suppress(asyncio.CancelledError):  # at the end; asyncio would report it
            for attempt in range(len(self._targets)):
                port = self._targets[(turn + attempt) % len(self._targets)]
                with contextlib.suppress(OSError):
                    upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
                    await asyncio.gather(_pass_on(reader, upstream_writer), _pass_on(upstream_reader, writer))
                    return
            writer.close()  # nobody is there: for the caller, a connection that was cut


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on until one side has had enough, and let the other side know."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
