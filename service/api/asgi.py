"""The little of ASGI that is needed here: its types, a whole body in, a whole answer out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]


class BodyTooLargeError(Exception):
    """The body is larger than this address takes; the rest of it was not read."""


class BrokenOffError(Exception):
    """The client went away, or was silent for too long, before the body was whole."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, most: int) -> bytes:
    """Read a whole body.

    Args:
        headers: Of the request, with lower-case names.
        receive: The server's.
        most: Bytes.

    Raises:
        BodyTooLargeError: It has more, or says so.
        BrokenOffError: It never became whole.
    """
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > most:
        raise BodyTooLargeError
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BrokenOffError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise BodyTooLargeError
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def answer(send: Send, status: int, headers: Headers, content: bytes, *, more: bool = False) -> None:
    """Send an answer, or the beginning of one whose ``more`` will follow."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": more})
