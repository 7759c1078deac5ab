"""Telling the registered URLs what happened, with Cobalt's patience and its one retry."""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import httpx

from service.lab.sandbox.events import Event, sign
from service.lab.sandbox.timers import Timers

# Seconds Cobalt waits for a 2xx, by attempt; there is one retry, RETRY_AFTER seconds later.
DELIVERY_TIMEOUTS = {1: 5.0, 2: 2.0}
RETRY_AFTER = 1.0
TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One try to hand over one event: the answer's status code, or the error that came instead."""

    event_id: str
    url: str
    attempt: int
    status: int | None
    error: str | None
    seconds: float
    at: datetime


class Webhooks:
    """The registered URLs, the client's one secret, and every delivery made."""

    def __init__(self, timers: Timers, secret: str, urls: tuple[str, ...]) -> None:
        self.secret = secret
        self.urls: dict[str, str] = {}
        self.deliveries: list[Delivery] = []
        self._tries: dict[str, list[Delivery]] = defaultdict(list)
        self.pending = 0
        self._timers = timers
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._own = threading.local()
        self._tls = httpx.create_ssl_context(trust_env=False)
        for url in urls:
            self.register(url)

    def register(self, url: str) -> None:
        """Add a URL; the same one twice is one."""
        with self._lock:
            if url not in self.urls.values():
                # Replaced rather than changed: senders go through it at any time.
                self.urls = {**self.urls, str(next(self._ids)): url}

    def remove(self, url_id: str) -> bool:
        """Forget a URL; false when it is not known."""
        with self._lock:
            known = url_id in self.urls
            self.urls = {other: url for other, url in self.urls.items() if other != url_id}
            return known

    def send(self, event: Event, *, after: float = 0) -> None:
        """Hand the event to each URL in so many seconds."""
        for url in self.urls.values():
            with self._lock:
                self.pending += 1
            self._timers.after(after, partial(self._try, event, url, 1))

    def send_now(self, event: Event) -> None:
        """Hand the event to each URL before returning; only a retry comes later."""
        for url in self.urls.values():
            with self._lock:
                self.pending += 1
            self._try(event, url, 1)

    def tries(self, event_id: str) -> Sequence[Delivery]:
        """How one event was delivered so far."""
        with self._lock:
            return list(self._tries.get(event_id, []))

    def _try(self, event: Event, url: str, attempt: int) -> None:
        began = time.monotonic()
        status = error = None
        try:
            status = self._post(event, url, attempt)
        except httpx.TimeoutException:
            error = "timeout"
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            error = type(problem).__name__
        seconds = time.monotonic() - began
        if seconds > DELIVERY_TIMEOUTS[attempt]:
            # httpx's limits are for each step, Cobalt's is for the whole.
            status, error = None, "timeout"
        again = attempt == 1 and _worth_a_retry(status, error)
        with self._lock:
            made = Delivery(
                event_id=event.id,
                url=url,
                attempt=attempt,
                status=status,
                error=error,
                seconds=seconds,
                at=datetime.now(UTC),
            )
            self.deliveries.append(made)
            self._tries[event.id].append(made)
            if not again:
                self.pending -= 1
        if again:
            self._timers.after(RETRY_AFTER, partial(self._try, event, url, attempt + 1))

    def _client(self) -> httpx.Client:
        """This thread's own client: a shared one looks through all its connections at each request."""
        if not hasattr(self._own, "client"):
            self._own.client = httpx.Client(
                # Under gunicorn's default of 2 s, so that a closing connection is not taken for a failure.
                limits=httpx.Limits(keepalive_expiry=1),
                verify=self._tls,
                trust_env=False,  # a proxy has no business between two processes on one machine
            )
        client: httpx.Client = self._own.client
        return client

    def _post(self, event: Event, url: str, attempt: int) -> int:
        headers = {
            "Content-Type": "application/json",
            "cobalt-verification": sign(event.body, self.secret),
            "webhook-id": event.id,
            "webhook-timestamp": event.created,
            "webhook-attempt": str(attempt),
        }
        answer = self._client().post(url, content=event.body, headers=headers, timeout=DELIVERY_TIMEOUTS[attempt])
        return answer.status_code


def _worth_a_retry(status: int | None, error: str | None) -> bool:
    """Only a 5xx, a 429 or a network error; a time-out might have been taken."""
    if status is None:
        return error != "timeout"
    return status >= httpx.codes.INTERNAL_SERVER_ERROR or status == TOO_MANY_REQUESTS
