"""Judge a URL before Cobalt is told to send patients' data there."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from service.cobalt.exchange import Network, NotSentError, Received, ReplyLostError
from service.config import is_loopback
from service.usecases.events.take_webhook import PATH

READY = "/readyz/webhooks"
"""Where this service says whether it can take events."""
ANSWER_TIMEOUT = 5.0
"""Seconds for its answer: Cobalt waits as long."""
LONGEST_ANSWER = 4096
"""Bytes."""
_LATER = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""By a load balancer that has nobody behind it yet, or by the service itself."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said of a URL.

    Args:
        fault: Why no events should be sent there; None if they may.
        doubt: What may be well later; None if all is well.
    """

    fault: str | None = None
    doubt: str | None = None


def judge(url: str, *, cobalt_is_here: bool) -> Judgement:
    """Judge a URL by how it is written, and by who answers there.

    That nobody answers is no fault: the secret that comes with a registration is needed to start the service.

    Args:
        url: As it would be registered.
        cobalt_is_here: Whether Cobalt is a stand-in on this machine, which reaches loopback addresses.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return Judgement(fault="is not a URL that can be read")
    if not host or parts.scheme not in {"http", "https"} or not (url.isascii() and url.isprintable()):
        return Judgement(fault=f"is not a URL like https://appointments.example.com{PATH}")
    if fault := _written_wrong(parts, host, cobalt_is_here=cobalt_is_here):
        return Judgement(fault=fault)
    return _ask(url.removesuffix(PATH))


def _written_wrong(parts: SplitResult, host: str, *, cobalt_is_here: bool) -> str | None:
    if is_loopback(host) and not cobalt_is_here:
        return "is an address of this machine, which Cobalt does not reach"
    if parts.scheme != "https" and not is_loopback(host):
        return "is not https: what Cobalt sends holds patients' data"
    if parts.username or parts.password or "?" in parts.geturl() or "#" in parts.geturl():
        return "must be an address and a path only"
    if not parts.path.endswith(PATH):
        return f"does not end in {PATH}, where this service takes events; elsewhere Cobalt is answered 404 and gives up"
    return None


def _ask(base: str) -> Judgement:
    try:
        reply = Network(base, ANSWER_TIMEOUT).exchange("GET", READY, headers={}, body=None, most=LONGEST_ANSWER)
    except NotSentError as error:
        if _is_about_a_certificate(error):
            return Judgement(fault="has a certificate that is not good for it")
        return Judgement(doubt="is answered by nobody yet")
    except ReplyLostError:
        return Judgement(doubt="leads to somebody who takes connections and does not answer")
    if reply.status == HTTPStatus.OK and not reply.trouble and _says_ok(reply):
        return Judgement()
    if reply.status in _LATER:
        return Judgement(doubt=f"leads to nobody who can keep events yet: HTTP {reply.status} to GET {READY}")
    return Judgement(fault=f"is answered by something else: HTTP {reply.status} to GET {READY}")


def _is_about_a_certificate(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__
    return error is not None


def _says_ok(reply: Received) -> bool:
    try:
        return bool(json.loads(reply.content) == {"status": "ok"})
    except ValueError:
        return False
