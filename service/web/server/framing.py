"""Which requests are refused for how they are written: what two readers of HTTP could read differently.

httptools refuses most of it, such as bare line feeds, folded headers, and a length beside a transfer coding. These are
the rest of RFC 9112's and our own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.web.process.messages import Request

HEAD_LIMIT = 16_384
"""Bytes of a request line and headers, or of what surrounds a body's chunks; Node.js and HAProxy take as much."""
HEADERS_LIMIT = 100
"""Headers of one request: each takes far more memory than bytes on the wire."""
CHUNKS_LIMIT = 4096
"""Chunks of one body. Cobalt's bodies have one; a body in single bytes costs a second of processor time."""
CHUNK_OVERHEAD = 16
"""Bytes around a chunk that come with its size and two line ends."""

ONCE = frozenset(
    {
        b"host",
        b"authorization",
        b"content-type",
        b"content-length",
        b"cobalt-verification",
        b"idempotency-key",
        b"expect",
    }
)
"""Headers whose second one could overrule the first, or not."""
_VERSIONS = frozenset({"1.0", "1.1"})
_HOST = re.compile(rb"[A-Za-z0-9.\-_~%:\[\]]{1,255}")
_TARGET = re.compile(rb"(?:/[^#]*|https?://[^/?#@]+(?:[/?][^#]*)?|\*)", re.IGNORECASE)


def _repeats(request: Request) -> bool:
    names = [name for name, _ in request.headers if name in ONCE]
    return len(names) != len(set(names))


def _has_odd_host(request: Request) -> bool:
    host = request.header(b"host")
    return request.version == "1.1" if host is None else not _HOST.fullmatch(host)


def _has_odd_coding(request: Request) -> bool:
    coding = request.header(b"transfer-encoding")
    return coding is not None and (coding.lower() != b"chunked" or request.version == "1.0")


_RULES: tuple[tuple[Callable[[Request], bool], str], ...] = (
    (lambda request: request.version not in _VERSIONS, "This server speaks HTTP/1.1."),
    (lambda request: not _TARGET.fullmatch(request.target), "The request line must name a path or an http URL."),
    (_repeats, "A header that may stand once stands twice."),
    (_has_odd_host, "The header Host must stand once, and name a host."),
    (_has_odd_coding, "The only transfer coding taken is chunked, with HTTP/1.1."),
    (
        lambda request: (request.header(b"expect") or b"100-continue").lower() != b"100-continue",
        "The only expectation met is 100-continue.",
    ),
)


def find_fault(request: Request) -> str | None:
    """Say what is wrong with the head of a request, without any value from it; None when nothing is."""
    return next((words for breaks, words in _RULES if breaks(request)), None)
