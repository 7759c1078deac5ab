"""HTTP that two readers may read differently, as one table: what is sent, and what may become of it.

A request is a template: `%(sig)b` is the header that signs `%(body)b`, `%(n)b` and `%(x)b` its length in decimal and
hexadecimal, `%(host)b` a Host header, `%(chunks)b` the body in chunks, and `%(hidden)b` another webhook, whole and
rightly signed, so that it leaves a trace wherever it is taken for a request of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Fate(Enum):
    """What may become of a request."""

    REFUSED = "refused, and the connection closed"
    NOT_TAKEN = "not taken"
    TAKEN = "taken"
    EITHER = "taken as it was meant, or refused"


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        direct: what may become of it when it reaches the service itself.
        behind: the same behind a proxy, which may refuse it, or pass on what it made of it.
        two: it is two requests by every reading, so the second may be taken too.
        waits: it may be waited with: what is there is a beginning by some reading, and the deadlines end it.
    """

    name: str
    request: bytes
    direct: Fate
    behind: Fate = Fate.EITHER
    two: bool = False
    waits: bool = False


_LINE = b"POST /webhooks/cobalt HTTP/1.1"
_TE = b"Transfer-Encoding: chunked"
_N = b"Content-Length: %(n)b"
_CHUNKS = b"%(chunks)b"


def _post(
    *lines: bytes, body: bytes = b"%(body)b", first: bytes = _LINE, host: bytes | None = b"%(host)b", sig: bool = True
) -> bytes:
    """A webhook with further header lines; without any, it says its length."""
    head = [first, *([host] if host is not None else []), *([b"%(sig)b"] if sig else []), *(lines or (_N,))]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def _chunked(body: bytes) -> bytes:
    return _post(_TE, body=body)


R, N, T, E = Fate.REFUSED, Fate.NOT_TAKEN, Fate.TAKEN, Fate.EITHER

CASES: Sequence[Case] = (
    Case("nothing odd: Content-Length", _post(), T, T),
    Case("nothing odd: chunks", _chunked(_CHUNKS), T, T),
    Case("nothing odd: a chunk extension", _chunked(b"%(x)b;a=b\r\n%(body)b\r\n0\r\n\r\n"), E),
    Case("nothing odd: a trailer", _chunked(b"%(x)b\r\n%(body)b\r\n0\r\nX-T: a\r\n\r\n"), E),
    Case("nothing odd: two requests at once", _post() + b"%(hidden)b", T, T, two=True),
    # Chunks.
    Case("LF inside a chunk extension", _chunked(b"%(x)b;a\nb\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("CR inside a chunk extension", _chunked(b"%(x)b;a\rb\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("LF after a chunk's size", _chunked(b"%(x)b\n%(body)b\r\n0\r\n\r\n"), R),
    Case("LF after a chunk", _chunked(b"%(x)b\r\n%(body)b\n0\r\n\r\n"), R),
    Case("nothing after a chunk", _chunked(b"%(x)b\r\n%(body)b0\r\n\r\n"), R),
    Case("LF after a trailer", _chunked(b"%(x)b\r\n%(body)b\r\n0\r\nX-T: a\n\n"), R),
    Case("a chunk longer than its size", _chunked(b"1\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("a chunk size of sixteen f", _chunked(b"ffffffffffffffff\r\n%(body)b\r\n0\r\n\r\n"), R, waits=True),
    Case("a chunk size beyond 64 bits", _chunked(b"10000000000000000%(x)b\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("a chunk size with 0x", _chunked(b"0x%(x)b\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("a chunk size with a sign", _chunked(b"+%(x)b\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("a negative chunk size", _chunked(b"-%(x)b\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("a chunk size after a space", _chunked(b" %(x)b\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("a chunk size before a space", _chunked(b"%(x)b \r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("a chunk size with an underscore", _chunked(b"0_%(x)b\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("an empty chunk size", _chunked(b"\r\n%(body)b\r\n0\r\n\r\n"), R),
    Case("a trailer that signs", _post(_TE, sig=False, body=b"%(x)b\r\n%(body)b\r\n0\r\n%(sig)b\r\n\r\n"), N, N),
    Case("a trailer that says a length", _chunked(b"%(x)b\r\n%(body)b\r\n0\r\n" + _N + b"\r\n\r\n"), E),
    # Ends of lines.
    Case("LF for every line", _post().replace(b"\r\n", b"\n"), R),
    Case("LF after the request line", _post().replace(b"1.1\r\n", b"1.1\n"), R),
    Case("LF between two headers", _post(b"X-A: b\nTransfer-Encoding: chunked", body=_CHUNKS), R),
    Case("LF for the empty line", _post().replace(b"\r\n\r\n", b"\r\n\n"), R),
    Case("CR between two headers", _post(b"X-A: b\rTransfer-Encoding: chunked", body=_CHUNKS), R),
    Case("CR in a value", _post(b"X-A: b\rc", _N), R),
    Case("NUL in a value", _post(b"X-A: b\0c", _N), R),
    Case("NUL in a name", _post(b"X\0A: b", _N), R),
    Case("a control character in a value", _post(b"X-A: b\x01c", _N), R),
    Case("bytes beyond ASCII in a name", _post(b"X-\xe9: b", _N), R),
    Case("bytes beyond ASCII in a value", _post(b"X-A: \xe9\xff", _N), E),
    Case("a folded header", _post(b"X-A: b\r\n c", _N), R),
    Case("a folded Transfer-Encoding", _post(b"Transfer-Encoding:\r\n chunked", body=_CHUNKS), R),
    Case("a space before the first header", _post(host=b" %(host)b"), R),
    Case("a space before the colon", _post(b"Content-Length : %(n)b"), R),
    Case("a space before the colon of Transfer-Encoding", _post(b"Transfer-Encoding : chunked", body=_CHUNKS), R),
    Case("an empty name", _post(b": b", _N), R),
    Case("a header without a colon", _post(b"X-A", _N), R),
    # Transfer-Encoding.
    Case("gzip, chunked", _post(b"Transfer-Encoding: gzip, chunked", body=_CHUNKS), R),
    Case("identity", _post(b"Transfer-Encoding: identity", _N), R),
    Case("chunked, identity", _post(b"Transfer-Encoding: chunked, identity", body=_CHUNKS), R),
    Case("chunked, chunked", _post(b"Transfer-Encoding: chunked, chunked", body=_CHUNKS), R),
    Case("Transfer-Encoding twice", _post(_TE, _TE, body=_CHUNKS), R),
    Case("chunked and identity, two lines", _post(_TE, b"Transfer-Encoding: identity", body=_CHUNKS), R),
    Case("xchunked", _post(b"Transfer-Encoding: xchunked", body=_CHUNKS), R),
    Case("chunked after a vertical tab", _post(b"Transfer-Encoding: \x0bchunked", body=_CHUNKS), R),
    Case("chunked in quotes", _post(b'Transfer-Encoding: "chunked"', body=_CHUNKS), R),
    Case("chunked with a parameter", _post(b"Transfer-Encoding: chunked;a=b", body=_CHUNKS), R),
    Case("an empty Transfer-Encoding", _post(b"Transfer-Encoding:", _N), R),
    Case("Chunked, in capitals", _post(b"Transfer-Encoding: Chunked", body=_CHUNKS), E),
    Case("HTTP/1.0 with chunks", _post(_TE, body=_CHUNKS, first=_LINE.replace(b"1.1", b"1.0")), R),
    # Content-Length.
    Case("Transfer-Encoding and Content-Length", _post(_TE, _N, body=_CHUNKS), R),
    Case("Content-Length and Transfer-Encoding", _post(_N, _TE, body=_CHUNKS), R),
    Case("Content-Length twice, the same", _post(_N, _N), R),
    Case("Content-Length twice, different", _post(_N, b"Content-Length: 5"), R),
    Case("Content-Length as a list", _post(b"Content-Length: %(n)b, %(n)b"), R),
    Case("Content-Length with a plus", _post(b"Content-Length: +%(n)b"), R),
    Case("Content-Length with a minus", _post(b"Content-Length: -%(n)b"), R),
    Case("Content-Length in hexadecimal", _post(b"Content-Length: 0x%(x)b"), R),
    Case("Content-Length with a space inside", _post(b"Content-Length: %(n)b 0"), R),
    Case("Content-Length with an underscore", _post(b"Content-Length: 0_%(n)b"), R),
    Case("Content-Length beyond 64 bits", _post(b"Content-Length: 184467440737095516%(n)b"), R),
    Case("Content-Length that is no ASCII digit", _post(b"Content-Length: \xb2"), R),
    Case("an empty Content-Length", _post(b"Content-Length:"), R),
    # Hosts, versions, methods, targets.
    Case("no Host", _post(host=None), R),
    Case("two Hosts", _post(b"Host: b.example", _N), R),
    Case("an empty Host", _post(host=b"Host:"), E),
    Case("a list of Hosts", _post(host=b"Host: a.example, b.example"), R),
    Case("a Host with a user and a path", _post(host=b"Host: a@b.example/c"), R),
    Case("another Host than the target's", _post(first=_LINE.replace(b" /", b" http://other.example/")), E),
    Case("HTTP/0.9", b"GET /livez\r\n", R, waits=True),
    Case("HTTP/1.2", _post(first=_LINE.replace(b"1.1", b"1.2")), E),
    Case("HTTP/2.0 as a version", _post(first=_LINE.replace(b"1.1", b"2.0")), R),
    Case("http in small letters", _post(first=_LINE.replace(b"HTTP", b"http")), R),
    Case("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", R, waits=True),
    Case(
        "an upgrade to h2c",
        _post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA", _N),
        E,
    ),
    Case("CONNECT", b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n%(hidden)b", N),
    Case("TRACE", b"TRACE /livez HTTP/1.1\r\n%(host)b\r\nCookie: secret\r\n\r\n", N, N),
    Case("two spaces in the request line", _post(first=_LINE.replace(b" /", b"  /")), E),
    Case("a tab in the request line", _post(first=_LINE.replace(b" /", b"\t/")), R),
    Case("a space in the target", _post(first=_LINE.replace(b"cobalt ", b"cobalt x ")), R),
    Case("a NUL in the target", _post(first=_LINE.replace(b"cobalt ", b"cobalt\0x ")), R),
    Case("bytes beyond ASCII in the target", _post(first=_LINE.replace(b"cobalt ", b"cobalt\xe9 ")), R),
    Case("a target without a slash", _post(first=_LINE.replace(b"/webhooks", b"webhooks")), R),
    Case("a method in small letters", _post(first=_LINE.replace(b"POST", b"post")), N, N),
    # Names that mean something here.
    Case("two signatures, the last one right", _post(b"cobalt-verification: 00", b"%(sig)b", _N, sig=False), N, N),
    Case("two signatures, the first one right", _post(b"cobalt-verification: 00", _N), N, N),
    Case("a signature under cobalt_verification", _post(b"%(sig_underscore)b", _N, sig=False), N, N),
    Case("two keys", b"GET /v1/stats HTTP/1.1\r\n%(host)b\r\nAuthorization: Bearer a\r\n%(key)b\r\n\r\n", N, N),
    # A request hidden in another one.
    Case(
        "hidden: CL.TE",
        _post(b"Content-Length: %(hidden_n)b", _TE, body=b"0\r\n\r\n%(hidden)b"),
        R,
    ),
    Case("hidden: TE.CL", _post(b"Content-Length: 4", _TE, body=b"%(hidden_x)b\r\n%(hidden)b\r\n0\r\n\r\n"), R),
    Case("hidden: TE.TE", _post(_TE, b"Transfer-Encoding: cow", _N, body=b"0\r\n\r\n%(hidden)b"), R),
    Case("hidden: behind a space before the colon", _post(b"Transfer-Encoding : chunked", _N, body=b"%(hidden)b"), R),
    Case("hidden: behind an LF in a header", _post(b"X-A: b\nContent-Length: 0", _N, body=b"%(hidden)b"), R),
    Case("hidden: in a chunk extension", _chunked(b"0;a\n%(hidden)b\r\n\r\n"), R),
    Case("hidden: behind a chunk of sixteen f", _chunked(b"ffffffffffffffff\r\n%(hidden)b"), R, waits=True),
    Case("hidden: behind a length with a plus", _post(b"Content-Length: +0", body=b"%(hidden)b"), R),
    Case(
        "hidden: behind two lengths",
        _post(b"Content-Length: 0", b"Content-Length: %(hidden_n)b", body=b"%(hidden)b"),
        R,
    ),
    Case(
        "hidden: behind content_length",
        _post(b"Content_Length: 0", b"Content-Length: %(hidden_n)b", body=b"%(hidden)b"),
        N,
    ),
    Case("hidden: behind a refusal", _post(b"Content-Length: five", body=b"%(hidden)b"), R),
    Case(
        "hidden: behind an announced body",
        _post(b"Expect: 100-continue", b"Content-Length: 99999999", body=b"%(hidden)b"),
        R,
    ),
)
