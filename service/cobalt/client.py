"""The calls to Cobalt, as the rest of the service makes them.

Facts marked [S] come from Cobalt's "Create Appointments" page, [P] from its later public documentation.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from service.cobalt.exchange import Network, NotSentError, ReplyLostError
from service.cobalt.replies import (
    NeverLeft,
    NotGrantedError,
    Reply,
    Unclear,
    find_text,
    is_success,
    json_object,
    read_reply,
)
from service.domain.event_walk import PAGE_SIZE, Page
from service.domain.minimum import reduce_listed
from service.errors import CobaltError
from service.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from types import TracebackType

    from service.cobalt.credentials import Credentials
    from service.cobalt.exchange import Received
    from service.config import CobaltSettings

NO_JOB = "0"
"""Cobalt's jobs are counted from 1 [P]. Of this one there is nothing to tell, so no patient's data either."""

BOOKING_REPLY = 65_536
"""Bytes: the reply to a call that books or corrects has a few hundred."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A URL that Cobalt sends events to."""

    id: str
    url: str


class Cobalt:
    """Calls Cobalt. Safe to share between threads."""

    def __init__(self, settings: CobaltSettings) -> None:
        self._network = Network(settings.cobalt_base_url, settings.cobalt_timeout.total_seconds())
        self._most = settings.cobalt_reply_max_bytes
        self._headers = {
            "client_id": settings.cobalt_client_id,
            "client_secret": settings.cobalt_client_secret,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "cobalt-appointments",
            "Connection": "close",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Abort the calls in flight within a tenth of a second, and start no new ones."""
        self._network.end()

    def create(self, credentials: Credentials, body: Mapping[str, Any]) -> Reply:
        """Ask Cobalt to book an appointment: ``POST /appointments`` [S]. Never safe to repeat blindly."""
        return self._send("create", "POST", "/appointments", credentials, body, known_id=None)

    def correct(self, credentials: Credentials, cobalt_id: str, body: Mapping[str, Any]) -> Reply:
        """Change a failed request and have Cobalt try again: ``PATCH /appointments/{id}`` [S, P]."""
        path = f"/appointments/{quote(cobalt_id, safe='')}"
        return self._send("correct", "PATCH", path, credentials, body, known_id=cobalt_id)

    def list_appointments(self, credentials: Credentials, *, first: date, last: date, mrn: str) -> list[dict[str, Any]]:
        """List a patient's appointments, ``GET /appointments`` [P]; days include both ends.

        Of each entry only what can be evidence.

        Raises:
            CobaltError: Cobalt did not answer with a list. That is not an empty one, which would be evidence.
        """
        query = {"start_date": first.isoformat(), "end_date": last.isoformat(), "patient_mrn": mrn}
        reply = self._ask("list", "GET", f"/appointments?{urlencode(query)}", credentials)
        return [reduce_listed(entry) for entry in _objects(reply.get("appointments"))]

    def events_of_job(self, credentials: Credentials, job_id: str) -> list[dict[str, Any]]:
        """Fetch the events of an operation, ``GET /webhook-events`` [P]; empty until it ends.

        Raises:
            CobaltError: Cobalt did not answer with a list.
        """
        reply = self._ask("events", "GET", f"/webhook-events?{urlencode({'job_id': job_id})}", credentials)
        return _objects(reply.get("webhook_events"))

    def list_events(self, credentials: Credentials, *, first: date, last: date, page: int) -> Page[dict[str, Any]]:
        """Get a page of the account's events, newest first: ``GET /webhook-events`` [P]; days include both ends.

        Raises:
            CobaltError: Cobalt did not answer with a list.
        """
        query = {
            "start_date": first.isoformat(),
            "end_date": last.isoformat(),
            "page": page,
            "page_size": PAGE_SIZE,
            "sort": "-created_at",
        }
        reply = self._ask("events", "GET", f"/webhook-events?{urlencode(query)}", credentials)
        told = reply.get("pagination")
        told = told if isinstance(told, dict) else {}
        return Page(
            _objects(reply.get("webhook_events")), _number(told.get("total_pages")), _number(told.get("total_count"))
        )

    def catalogue(self, credentials: Credentials) -> dict[str, list[object]]:
        """List what the account's EHR knows: ``GET /providers``, ``GET /locations``, ``GET /settings`` [P].

        Returns:
            ``providers``, ``locations`` and ``visit_types``, as Cobalt lists them; empty where it has none (404).

        Raises:
            CobaltError: Cobalt did not answer all three.
        """
        settings = self._ask_if_there("settings", credentials)
        told = settings.get("data")
        return {
            "providers": _list(self._ask_if_there("providers", credentials).get("providers")),
            "locations": _list(self._ask_if_there("locations", credentials).get("locations")),
            "visit_types": _list((told if isinstance(told, dict) else settings).get("visit_types")),
        }

    def probe(self, credentials: Credentials) -> None:
        """See whether Cobalt takes calls of an account: ask for the events of a job that there is not [P].

        Raises:
            CobaltError: Cobalt did not answer, or not as it should.
        """
        query = urlencode({"job_id": NO_JOB, "page_size": 1})
        self._ask("probe", "GET", f"/webhook-events?{query}", credentials)

    def register_webhook(self, credentials: Credentials, url: str) -> str:
        """Register a URL for events, ``POST /webhook`` [P]; returns the secret that signs them."""
        return self._secret("register_webhook", "POST", "/webhook", credentials, {"webhook_url": url})

    def rotate_webhook_secret(self, credentials: Credentials) -> str:
        """Replace the secret that signs events, ``POST /webhook/rotate-secret`` [P]; returns the new one."""
        return self._secret("rotate_secret", "POST", "/webhook/rotate-secret", credentials, {})

    def list_webhooks(self, credentials: Credentials) -> list[Registered]:
        """List the registered URLs, ``GET /webhook`` [P]."""
        reply = self._ask("list_webhooks", "GET", "/webhook", credentials)
        found = next((value for value in reply.values() if isinstance(value, list)), [])
        return [
            Registered(str(one.get("id", "")), str(one.get("webhook_url", one.get("url", ""))))
            for one in found
            if isinstance(one, dict)
        ]

    def remove_webhook(self, credentials: Credentials, webhook_id: str) -> None:
        """Remove a registered URL, ``DELETE /webhook/{id}`` [P]."""
        self._ask("remove_webhook", "DELETE", f"/webhook/{quote(webhook_id, safe='')}", credentials)

    def _secret(self, operation: str, method: str, path: str, credentials: Credentials, body: Mapping[str, Any]) -> str:
        secret = find_text(self._ask(operation, method, path, credentials, body), "webhook_secret_key")
        if secret is None:
            raise CobaltError("Cobalt's reply names no webhook_secret_key")
        return secret

    def _ask_if_there(self, name: str, credentials: Credentials) -> dict[str, Any]:
        try:
            return self._ask(name, "GET", f"/{name}", credentials)
        except CobaltError as error:
            if error.http_status == HTTPStatus.NOT_FOUND:
                return {}
            raise

    def _ask(
        self,
        operation: str,
        method: str,
        path: str,
        credentials: Credentials,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a call that is safe to repeat, and get the reply's JSON object.

        Raises:
            NotGrantedError: Cobalt answered with something other than a 2xx.
            CobaltError: Cobalt did not answer, or its reply cannot be read.
        """
        with _timed(operation) as timed:
            try:
                received = self._exchange(method, path, credentials, body, self._most)
            except (NotSentError, ReplyLostError) as error:
                raise CobaltError(f"Cobalt did not answer: {error}") from error
            if not is_success(received):
                raise NotGrantedError(received.status, read_reply(received))
            if received.trouble:
                raise CobaltError(f"Cobalt's reply cannot be read: {received.trouble}")
            timed.outcome = "answered"
            return json_object(received)

    def _send(
        self,
        operation: str,
        method: str,
        path: str,
        credentials: Credentials,
        body: Mapping[str, Any],
        *,
        known_id: str | None,
    ) -> Reply:
        with _timed(operation) as timed:
            reply = self._reply(method, path, credentials, body, known_id)
            timed.outcome = _in_words(reply)
            return reply

    def _reply(
        self, method: str, path: str, credentials: Credentials, body: Mapping[str, Any], known_id: str | None
    ) -> Reply:
        try:
            received = self._exchange(method, path, credentials, body, min(self._most, BOOKING_REPLY))
        except NotSentError as error:
            return NeverLeft(str(error))
        except ReplyLostError as error:
            return Unclear(str(error))
        return read_reply(received, known_id=known_id)

    def _exchange(
        self, method: str, path: str, credentials: Credentials, body: Mapping[str, Any] | None, most: int
    ) -> Received:
        headers = self._headers | {"access_token": credentials.access_token}
        return self._network.exchange(method, path, headers=headers, body=body, most=most)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _list(found: object) -> list[object]:
    return found if isinstance(found, list) else []


def _objects(found: object) -> list[dict[str, Any]]:
    if not isinstance(found, list):
        raise CobaltError("Cobalt's reply holds no list")
    return [one for one in found if isinstance(one, dict)]


@dataclass(slots=True)
class _Timed:
    """A call that is timed; its outcome is a failure unless set otherwise."""

    outcome: str = "failed"


@contextmanager
def _timed(operation: str) -> Iterator[_Timed]:
    began = time.monotonic()
    timed = _Timed()
    try:
        yield timed
    finally:
        metrics.cobalt_seconds.labels(operation, timed.outcome).observe(time.monotonic() - began)


def _in_words(reply: Reply) -> str:
    """Name a reply for a label: ``NeverLeft`` is ``never_left``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(reply).__name__).lower()
