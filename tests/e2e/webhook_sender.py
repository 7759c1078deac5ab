"""Sends signed webhooks as Cobalt does, each on a connection of its own, and notes what they were answered."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx

from service.lab.processes import NO_TLS

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 5.0  # seconds that Cobalt waits
CONNECTIONS = 80  # more than are open at once when each answer takes all of its time


@dataclass(frozen=True)
class Answered:
    """What one webhook was answered; status 0 when there was no answer."""

    status: int
    disposition: str
    seconds: float


class Sender:
    """A context manager: may send while inside.

    Args:
        url: of a web instance.
        secret: signs the bodies.
    """

    def __init__(self, url: str, secret: str) -> None:
        self._url = f"{url}/webhooks/cobalt"
        self._secret = secret.encode()
        never_again = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(timeout=PATIENCE, trust_env=False, verify=NO_TLS, limits=never_again)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, body: bytes) -> Answered:
        """Send one and wait for the answer."""
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "cobalt-verification": signature}
        began = time.monotonic()
        try:
            answer = self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return Answered(0, type(error).__name__, time.monotonic() - began)
        said = answer.json()
        return Answered(answer.status_code, said.get("disposition") or said["title"], time.monotonic() - began)


class Stream:
    """A context manager: sends one body after the other at a steady pace, until it is left.

    Args:
        sender: sends each.
        bodies: what to send; running out of them is an error.
        every: seconds between two.
    """

    def __init__(self, sender: Sender, bodies: Sequence[bytes], *, every: float) -> None:
        self.answers: list[Answered] = []
        self.sent: list[bytes] = []
        self._sender = sender
        self._bodies = bodies
        self._every = every
        self._stop = threading.Event()
        self._pace = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._pace.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Return when everything that was sent has its answer."""
        self._stop.set()
        self._pace.join()

    def _run(self) -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for number, body in enumerate(self._bodies):
                if self._stop.wait(max(0.0, began + number * self._every - time.monotonic())):
                    return
                self.sent.append(body)
                pool.submit(self._send, body)
        raise RuntimeError("there was too little to send")

    def _send(self, body: bytes) -> None:
        self.answers.append(self._sender.send(body))
