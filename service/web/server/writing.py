"""Writes answers as HTTP, with the headers that every one of them has."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.web.process.messages import Answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_ALWAYS = (
    (b"cache-control", b"no-store"),  # patients' data stands in nearly every answer; documents say otherwise
    (b"x-content-type-options", b"nosniff"),
)
"""Unless the answer itself says something else. No header names the server's software."""
_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}


def head(answer: Answer, *, version: str, closes: bool) -> bytes:
    """Write the status line and the headers.

    Args:
        answer: What is to be said.
        version: Of the request's HTTP.
        closes: Whether the connection ends with this answer.
    """
    names = {name for name, _ in answer.headers}
    headers = [*answer.headers, *(one for one in _ALWAYS if one[0] not in names)]
    if answer.rest is not None:
        if is_chunked(answer, version):
            headers.append((b"transfer-encoding", b"chunked"))
    elif b"content-length" not in names and answer.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        headers.append((b"content-length", b"%d" % len(answer.content)))
    if closes:
        headers.append((b"connection", b"close"))
    elif version == "1.0":
        headers.append((b"connection", b"keep-alive"))
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join((_LINES[answer.status], _date(int(time.time())), *lines, b"\r\n"))


def is_chunked(answer: Answer, version: str) -> bool:
    """Tell whether what follows of an answer comes in chunks; before HTTP/1.1 it ends with the connection."""
    return answer.rest is not None and version == "1.1"


def chunk(piece: bytes) -> bytes:
    """Write a piece of a body as a chunk; an empty one would be the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return f"date: {formatdate(second, usegmt=True)}\r\n".encode()
