"""One connection: has its requests answered one after the other, and waits for nothing for ever."""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from service.telemetry import log, metrics
from service.web.server.reading import SLICE, Phase, Reader
from service.web.server.writing import CONTINUE, LAST_CHUNK, chunk, head, is_chunked

if TYPE_CHECKING:
    from service.web.process.messages import Answer, Application, Request
    from service.web.server.connections import Connections, Limits

LINGER = 1.0
"""Seconds for a peer that still sends to read why it is refused: a reset would take the answer from it."""

logger = log.get_logger(__name__)


class Connection(asyncio.Protocol):
    """Serves one connection.

    Args:
        app: What answers.
        connections: All connections of the process.
        limits: How long what may take.
        internal: Whether it came in by the address for operations.
    """

    _transport: asyncio.Transport
    _reader: Reader

    def __init__(self, app: Application, connections: Connections, limits: Limits, *, internal: bool = False) -> None:
        self._app = app
        self._connections = connections
        self._limits = limits
        self._internal = internal
        self._loop = asyncio.get_running_loop()
        self.deadline = math.inf
        self.held = 0
        self._unread = b""
        self._answering: asyncio.Task[None] | None = None
        self._answered: Request | None = None
        self._writable: asyncio.Future[None] | None = None
        self._served = False
        self._ending = False
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not say what it is
        peer = transport.get_extra_info("peername")
        self._reader = Reader(self._app, peer[0] if isinstance(peer, tuple) else "", internal=self._internal)
        if self._connections.enter(self):
            self._set_deadline()
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """Wake up what waits for the peer; an answer that is being made is made to its end."""
        self._lost = self._ending = True
        self._connections.leave(self)
        self._reader.close()
        self._unread = b""
        if self._answered is not None:
            self._answered.client_left()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._ending:
            return
        if self._answering is None:
            self._read(data)
        else:  # its turn comes when this answer is sent
            self._unread += data
            self._connections.hold(self, len(data))
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Send no more until the peer has read."""
        self._writable = self._loop.create_future()
        self.deadline = self._loop.time() + self._limits.send

    def resume_writing(self) -> None:
        """Send on."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
            self._set_deadline()

    def expire(self) -> None:
        """End, for the deadline has passed."""
        waits_for = self._waits_for()
        if not self._ending:
            metrics.connection_closed(waits_for)
        if waits_for in {"head", "body"}:
            self._refuse(self._reader.refuse(HTTPStatus.REQUEST_TIMEOUT, "The request was not complete in time."))
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._ending = True
        self.deadline = math.inf
        self._transport.abort()

    def finish(self, until: float) -> None:
        """Close when what is under way is answered, or now if nothing is.

        Args:
            until: When a request must be complete that is on its way, on the loop's clock.
        """
        waits_for = self._waits_for()
        if waits_for == "silence":
            self._close()
        elif waits_for != "answer":
            self.deadline = min(self.deadline, until)

    def _read(self, data: bytes) -> None:
        """Read requests, and have them answered."""
        reader, phase = self._reader, self._reader.phase
        self._unread = reader.feed(data)
        is_small = len(data) <= SLICE and not self.held
        if reader.whole:
            self._connections.answer(self)
            self.deadline = math.inf
            if not is_small and not self._connections.hold(self, len(data)):
                self._refuse(reader.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Too much is being worked on."))
                return
            self._answering = self._loop.create_task(self._answer())
        elif reader.refusal is not None:
            self._refuse(reader.refusal)
        elif reader.phase is not Phase.IDLE:
            self._connections.hold(self, len(data))
            if self._ending:  # it was this one that had to go
                return
            if reader.phase is not phase:
                self._set_deadline()
            if reader.owes_continue:
                reader.owes_continue = False
                self._transport.write(CONTINUE)

    async def _answer(self) -> None:
        """Answer the requests that were read, and read on."""
        while self._reader.whole:
            request, keeps, refusal = self._reader.whole.popleft()
            self._answered = request
            answer = refusal or await self._ask(request)
            ends_with_connection = answer.rest is not None and not is_chunked(answer, request.version)
            keeps = keeps and not ends_with_connection and not self._connections.ending
            await self._send(answer, request, closes=not keeps)
            if self._ending:
                break
            if not keeps:
                self._close()
                break
            if self._reader.whole:
                await asyncio.sleep(0)  # others have their turn
        self._answered = self._answering = None
        if not self._ending:
            self._read_on()

    def _read_on(self) -> None:
        self._served = True
        self._connections.release(self)
        self._connections.wait(self)
        self._set_deadline()
        if self._reader.refusal is not None:
            self._refuse(self._reader.refusal)
        elif self._unread:
            self._read(self._unread)
        if not self._unread:
            self._transport.resume_reading()

    async def _ask(self, request: Request) -> Answer:
        try:
            return await self._app(request)
        except Exception:
            logger.exception("request broke")
            return self._app.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "This is our fault.", request)

    async def _send(self, answer: Answer, request: Request, *, closes: bool) -> None:
        rest = answer.rest
        chunked = is_chunked(answer, request.version)
        try:
            if not self._ending:
                content = b"" if request.method == "HEAD" else answer.content
                self._transport.write(
                    head(answer, version=request.version, closes=closes) + (chunk(content) if chunked else content)
                )
            while rest is not None and not self._ending:
                await self._until_writable()
                piece = await rest.next_piece()
                if piece is None:
                    self._transport.write(LAST_CHUNK if chunked else b"")
                    break
                self._transport.write(chunk(piece) if chunked else piece)
            await self._until_writable()
        except Exception:  # the client must see that the answer is not whole
            logger.exception("answer broke off")
            self.abort()
        finally:
            if rest is not None:
                await rest.close()

    async def _until_writable(self) -> None:
        while self._writable is not None:
            await self._writable

    def _refuse(self, answer: Answer) -> None:
        """Answer for the last time; what the peer still sends is thrown away for a moment, so that it reads this."""
        self._transport.write(head(answer, version="1.1", closes=True) + answer.content)
        self._ending = True
        self._unread = b""
        self._transport.write_eof()
        self._transport.resume_reading()
        self.deadline = self._loop.time() + LINGER

    def _close(self) -> None:
        self._ending = True
        self._transport.close()
        self.deadline = self._loop.time() + self._limits.send  # for what is not sent yet

    def _waits_for(self) -> str:
        """Say what this connection waits for, as ``Limits`` and the metrics name it."""
        if self._ending or self._writable is not None:
            return "send"
        if self._answering is not None:
            return "answer"
        if self._reader.phase is Phase.IDLE:
            return "silence" if self._served else "first_byte"
        return "head" if self._reader.phase is Phase.HEAD else "body"

    def _set_deadline(self) -> None:
        waits_for = self._waits_for()
        limit: float = math.inf if waits_for == "answer" else getattr(self._limits, waits_for)
        self.deadline = self._loop.time() + limit
