"""Reads the requests of one connection from the bytes that come, and refuses what grows without a request in sight."""

from __future__ import annotations

from collections import deque
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import httptools

from service.telemetry import log
from service.web.process.messages import Answer, Request
from service.web.server.framing import CHUNK_OVERHEAD, CHUNKS_LIMIT, HEAD_LIMIT, HEADERS_LIMIT, find_fault

if TYPE_CHECKING:
    from service.web.process.messages import Application

SLICE = 16_384
"""Bytes that are parsed before the bounds are checked again: what a bound may be exceeded by."""
UNREADABLE = "This is not a request that RFC 9112 allows."

logger = log.get_logger(__name__)


class Phase(Enum):
    """What a connection waits for.

    ``IDLE``: the first byte of a request. ``HEAD``: the end of its headers. ``BODY``: the end of its body.
    """

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"


class Whole(NamedTuple):
    """A request of which everything has come.

    Args:
        request: The request.
        keeps: Whether another may follow it on the connection.
        refusal: What it is answered by its head alone.
    """

    request: Request
    keeps: bool
    refusal: Answer | None


class Reader:
    """Reads the requests of one connection.

    The methods named ``on_...`` are called by httptools.

    Args:
        app: Judges heads, and words refusals.
        client: The address of the peer.
        internal: Whether the connection came in by the address for operations.

    Attributes:
        phase: What is waited for.
        whole: Requests to answer, the first one first.
        refusal: Why nothing more can be read here, to be sent when ``whole`` is answered.
        owes_continue: Whether the client waits for our word before it sends the body.
    """

    def __init__(self, app: Application, client: str, *, internal: bool) -> None:
        self._app = app
        self._client = client
        self._internal = internal
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self.phase = Phase.IDLE
        self.whole: deque[Whole] = deque()
        self.refusal: Answer | None = None
        self.owes_continue = False
        self._upgrades = False
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._request: Request | None = None
        self._verdict: Answer | None = None
        self._body: bytes | bytearray = b""
        self._allowed = self._came = self._chunks = 0
        self._wire = 0
        self._at_mark = False

    def feed(self, data: bytes) -> bytes:
        """Parse what has come.

        Returns:
            What is left of it, where requests before it must be answered first.
        """
        for start in range(0, len(data), SLICE):
            piece = data[start : start + SLICE]
            if not self._parse(piece):
                return b""
            if self.whole:
                return data[start + SLICE :]
        return b""

    def close(self) -> None:
        """Forget everything. The parser knows us: the circle would live until the collector comes."""
        self._parser = None
        self._request = None
        self._body = b""
        self.whole.clear()

    def refuse(self, status: HTTPStatus, detail: str) -> Answer:
        """Word the refusal of the request that is coming in, as far as it is known."""
        return self._app.refuse(status, detail, self._request)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.phase = Phase.HEAD
        self._target, self._headers, self._request, self._verdict = b"", [], None, None
        self._body, self._allowed, self._came, self._chunks = b"", 0, 0, 0
        self.owes_continue = False
        self._mark()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer, which comes behind the body, is none."""
        if self.phase is Phase.HEAD and len(self._headers) <= HEADERS_LIMIT:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge the head."""
        assert self._parser is not None  # noqa: S101  it is the one that calls
        self.phase = Phase.BODY
        self._mark()
        request = self._request = Request(
            self._parser.get_method().decode("ascii"),
            self._target,
            self._headers,
            self._parser.get_http_version(),
            self._client,
            self._internal,
        )
        if len(self._headers) > HEADERS_LIMIT:
            self.refusal = self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "There are too many headers.")
        elif fault := find_fault(request):
            self.refusal = self.refuse(HTTPStatus.BAD_REQUEST, fault)
        else:
            admitted = self._app.admit(request)
            if isinstance(admitted, Answer):
                self._verdict = admitted
            else:
                self._allowed = admitted
                self.owes_continue = request.header(b"expect") is not None and request.version == "1.1"

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self.owes_continue = False
        self._came += len(body)
        if self._verdict is not None or self._came > self._allowed:
            self._body = b""  # of a request that is refused nothing is kept
        elif not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        """Queue the request."""
        assert self._parser is not None  # noqa: S101  it is the one that calls
        assert self._request is not None  # noqa: S101  its head came first
        self.phase = Phase.IDLE
        self._mark()
        if self.refusal is not None:
            return
        if self._verdict is None and self._came > self._allowed:
            self._verdict = self._too_large()
        request, self._request = self._request, None
        request.body, self._body = bytes(self._body), b""
        self.whole.append(Whole(request, self._parser.should_keep_alive(), self._verdict))

    def _parse(self, piece: bytes) -> bool:
        """Parse a piece; False when nothing that follows can be read."""
        assert self._parser is not None  # noqa: S101  nothing is fed to a closed reader
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._end_at_upgrade()
        except httptools.HttpParserCallbackError:
            logger.exception("request broke while it was read")
            self.refusal = self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "This is our fault.")
        except httptools.HttpParserError:
            if self.refusal is None:
                self.refusal = self.refuse(HTTPStatus.BAD_REQUEST, UNREADABLE)
        else:
            if self.refusal is None:
                self.refusal = self._find_excess(len(piece))
        return self.refusal is None and not self._upgrades

    def _end_at_upgrade(self) -> None:
        """Answer the request that asks for another protocol in this one, which RFC 9110 allows, and read no more."""
        self._upgrades = True
        if self.whole and self.whole[-1].request.method != "CONNECT":
            self.whole[-1] = self.whole[-1]._replace(keeps=False)
        else:
            self.whole.clear()
            self.refusal = self.refuse(HTTPStatus.NOT_IMPLEMENTED, "This server is no proxy.")

    def _find_excess(self, size: int) -> Answer | None:
        """Refuse a request that is beyond a bound, or that its head condemns while the body is still to come."""
        if self._at_mark:
            self._at_mark = False
        else:
            self._wire += size
        if self.phase is not Phase.BODY and self._wire > HEAD_LIMIT:  # before a head come blank lines
            return self.refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The head has more than {HEAD_LIMIT} bytes."
            )
        if self.phase is not Phase.BODY:
            return None
        if self._verdict is not None:
            return self._verdict
        if self._came > self._allowed:
            return self._too_large()
        around = self._wire - self._came - self._chunks * CHUNK_OVERHEAD
        if around > HEAD_LIMIT or self._chunks > CHUNKS_LIMIT:
            return self.refuse(HTTPStatus.BAD_REQUEST, "The body comes in chunks of little but framing.")
        return None

    def _too_large(self) -> Answer:
        return self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than this address takes.")

    def _mark(self) -> None:
        """Count the bytes on the wire from here on: as far as whole slices go."""
        self._wire = 0
        self._at_mark = True
