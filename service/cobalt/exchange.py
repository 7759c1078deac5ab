"""One HTTP exchange with Cobalt, with a deadline for all of it and a limit on the size of the reply.

httpcore speaks HTTP; every wait for the network and every byte that comes from it go through here.
"""

from __future__ import annotations

import json
import re
import threading
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpcore

from service.cobalt.connection import TOO_LARGE, BrokenOffError, Call, Connecting

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = 65_536
"""Bytes that a reply may have besides the body: status, headers, chunk sizes, and 1xx replies before it."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d)[ \r\n]")
_GZIP_OR_ZLIB = 47  # zlib's number for: whichever of the two it is


class NotSentError(Exception):
    """Nothing of the request left; the message says why."""


class ReplyLostError(Exception):
    """The request left, as a whole or in part, and no status came back; the message says why."""


@dataclass(frozen=True, slots=True)
class Received:
    """A reply, as far as it arrived.

    Args:
        status: The HTTP status.
        headers: Name in lower case -> value; of several with one name, joined by commas.
        content: The body, decompressed; if there was trouble, what arrived before it.
        trouble: Why the body is not complete; None if it is.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    trouble: str | None = None


class Network:
    """The network to Cobalt: reuses no connection, and can drop all that are in use.

    If a create met a connection that the other side was closing, nobody could tell whether it was taken.

    Args:
        base_url: An http or https URL.
        timeout: Seconds for one exchange, from the DNS lookup to the last byte.
    """

    def __init__(self, base_url: str, timeout: float) -> None:
        self._base_url = base_url
        self._origin = httpcore.URL(base_url).origin
        self._timeout = timeout
        self._tls = httpcore.default_ssl_context() if self._origin.scheme == b"https" else None
        self._ending = threading.Event()

    def end(self) -> None:
        """Abort what is in flight, and start nothing new."""
        self._ending.set()

    def exchange(
        self, method: str, path: str, *, headers: Mapping[str, str], body: Mapping[str, Any] | None, most: int
    ) -> Received:
        """Send a request, with a body in JSON if there is one, and read its reply: up to ``most`` bytes of body.

        Raises:
            NotSentError: Nothing of the request left.
            ReplyLostError: Some of it left, and nobody knows what became of it.
        """
        call = Call(self._timeout, HEAD + most, self._ending)
        try:
            request = _request(headers, body)
            with (
                httpcore.HTTPConnection(self._origin, self._tls, network_backend=Connecting(call)) as connection,
                connection.stream(method, self._base_url + path, **request) as response,
            ):
                return _read(response, most)
        except _TROUBLE as error:
            if not call.left:
                raise NotSentError(_why(error)) from error
            status = _STATUS.match(call.beginning)
            if status is None:
                raise ReplyLostError(_why(error)) from error
            return Received(int(status[1]), trouble=_why(error))


def _request(headers: Mapping[str, str], body: Mapping[str, Any] | None) -> dict[str, Any]:
    written = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    if body is None:
        return {"headers": written}
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return {"headers": [*written, (b"Content-Type", b"application/json")], "content": content}


def _read(response: httpcore.Response, most: int) -> Received:
    """Read the body; keep what arrived before any trouble."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    content = bytearray()
    trouble = None
    try:
        for part in response.iter_stream():
            content += part
            if len(content) > most:
                raise BrokenOffError(TOO_LARGE)
        content = _unpack(content, headers.get("content-encoding", ""), most)
    except _TROUBLE as error:
        trouble = _why(error)
    return Received(response.status, headers, bytes(content), trouble)


def _unpack(content: bytearray, encoding: str, most: int) -> bytearray:
    """Undo a content encoding, although none was requested; leave content that is not encoded as declared.

    Raises:
        BrokenOffError: It decompresses to more than ``most`` bytes; no more than these were decompressed.
    """
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return content
    try:
        unpacked = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(content, most + 1)
    except zlib.error:
        return content
    if len(unpacked) > most:
        raise BrokenOffError(TOO_LARGE)
    return bytearray(unpacked)


_TROUBLE = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    UnicodeEncodeError,  # a token that no header can hold
    BrokenOffError,
)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, BrokenOffError) else type(error).__name__
