"""The HTTP client to Cobalt: its replies, and its silences, in our words.

Facts marked [S] come from Cobalt's "Create Appointments" page, [P] from its later public documentation.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

import httpx

from service import metrics
from service.errors import CobaltError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from types import TracebackType

    from service.config import Settings

TOO_MANY = timedelta(minutes=10)
"""The longest ``Retry-After`` that is believed."""
SHOWN = 500
"""How much of an error message of Cobalt's is kept, in characters."""
LONGEST_ID = 200
"""Characters; Cobalt's ids are below 40. A longer one is no id that an event could name."""
PLAUSIBLE_YEARS = range(2000, 2100)
"""A clock outside of these was not set."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call on behalf of one account needs.

    Args:
        account: Our name for it.
        reference: Cobalt's ``access_token_reference_id``.
        access_token: One per linked EHR account [S].
        time_format: How ``date`` and ``time`` go out; see ``service.request_fields.as_sent``.
        timezone: The IANA zone of the account's clinics.
    """

    account: str
    reference: str
    access_token: str
    time_format: str = "as_given"
    timezone: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(account={self.account!r})"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Cobalt took it: a 2xx with an id.

    Args:
        cobalt_appointment_id: The id, as text.
        job_id: The operation's, in the later reply shape [P].
        replied_at: The reply's ``Date``, on Cobalt's clock.
    """

    cobalt_appointment_id: str
    job_id: str | None
    replied_at: datetime
    http_status: int = HTTPStatus.OK.value


@dataclass(frozen=True, slots=True)
class NeverLeft:
    """The request did not reach Cobalt: refused, no such name, no TLS. Safe to send again."""

    error: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: not taken. Safe to send again, later."""

    retry_after: timedelta
    http_status: int = HTTPStatus.TOO_MANY_REQUESTS.value


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """401 or 403: not taken; nothing of this account's will be until a person mends its credentials."""

    http_status: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Another 4xx: not taken, and would not be the next time either.

    Args:
        reason: Cobalt's words.
        replied_at: The reply's ``Date``, on Cobalt's clock.
    """

    http_status: int
    reason: str
    replied_at: datetime


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nobody can say whether Cobalt took it: no answer in time, a 5xx, a reply that cannot be read."""

    error: str
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """A URL that Cobalt sends events to."""

    id: str
    url: str


Reply = Accepted | NeverLeft | Throttled | Unauthorized | Rejected | Unclear

# What httpx raises before the first byte of the request is on the wire. The last two are a token that no header
# can hold: a person has to mend it, and nothing of the account is lost meanwhile.
_NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    UnicodeEncodeError,
)


class Cobalt:
    """Calls Cobalt. Safe to share between threads.

    A connection is not kept for the next call: a create that meets a connection which the other side is just
    closing could not be told from one that was taken.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = httpx.Client(
            base_url=settings.cobalt_base_url,
            headers={"client_id": settings.cobalt_client_id, "client_secret": settings.cobalt_client_secret},
            timeout=httpx.Timeout(settings.cobalt_timeout.total_seconds()),
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,  # a proxy that the environment names would see MRNs
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def create(self, credentials: Credentials, body: Mapping[str, Any]) -> Reply:
        """Ask Cobalt to book an appointment: ``POST /appointments`` [S]. Never safe to repeat blindly."""
        return self._send("create", "POST", "/appointments", credentials, body, known_id=None)

    def correct(self, credentials: Credentials, cobalt_id: str, body: Mapping[str, Any]) -> Reply:
        """Change a failed request and have Cobalt try again: ``PATCH /appointments/{id}`` [S, P]."""
        path = f"/appointments/{quote(cobalt_id, safe='')}"
        return self._send("correct", "PATCH", path, credentials, body, known_id=cobalt_id)

    def list_appointments(self, credentials: Credentials, *, first: date, last: date, mrn: str) -> list[dict[str, Any]]:
        """List a patient's appointments, ``GET /appointments`` [P]; days include both ends.

        Raises:
            CobaltError: Cobalt did not answer with a list. That is not an empty one, which would be evidence.
        """
        query = {"start_date": first.isoformat(), "end_date": last.isoformat(), "patient_mrn": mrn}
        reply = self._ask("list", "GET", f"/appointments?{urlencode(query)}", credentials)
        found = reply.get("appointments")
        if not isinstance(found, list):
            raise CobaltError("Cobalt's reply holds no list of appointments")
        return [one for one in found if isinstance(one, dict)]

    def events_of_job(self, credentials: Credentials, job_id: str) -> list[dict[str, Any]]:
        """Fetch the events of an operation, ``GET /webhook-events`` [P]; empty until it ends."""
        reply = self._ask("events", "GET", f"/webhook-events?{urlencode({'job_id': job_id})}", credentials)
        found = reply.get("webhook_events")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

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
        secret = _find(self._ask(operation, method, path, credentials, body), "webhook_secret_key")
        if secret is None:
            raise CobaltError("Cobalt's reply names no webhook_secret_key")
        return secret

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
            CobaltError: Cobalt did not answer, or with something other than a 2xx.
        """
        with _timed(operation) as timed:
            try:
                response = self._request(method, path, credentials, body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise CobaltError(f"Cobalt did not answer: {_name(error)}") from error
            if not response.is_success:
                raise CobaltError(f"Cobalt answered HTTP {response.status_code}")
            timed.outcome = "answered"
            return _json_object(response)

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
            response = self._request(method, path, credentials, body)
        except _NEVER_LEFT as error:
            return NeverLeft(_name(error))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Unclear(_name(error))
        return read_reply(response, known_id=known_id)

    def _request(
        self, method: str, path: str, credentials: Credentials, body: Mapping[str, Any] | None
    ) -> httpx.Response:
        return self._client.request(method, path, json=body, headers={"access_token": credentials.access_token})


@dataclass(slots=True)
class _Timed:
    """A call that is timed; it failed unless somebody says otherwise."""

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


def read_reply(response: httpx.Response, *, known_id: str | None = None) -> Reply:
    """Read a reply to a call that books or corrects, in any documented shape.

    Args:
        response: What came.
        known_id: The appointment's id at Cobalt, where a reply need not name it (a correction's does not [P]).
    """
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(_retry_after(response))
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Unauthorized(status)
    if response.is_client_error:
        return Rejected(status, _message(response), _date(response))
    if not response.is_success:
        return Unclear(f"HTTP {status}", status)
    reply = _json_object(response)
    cobalt_id = known_id or _find(reply, "appointment_id")
    if not reply or reply.get("success") is False or cobalt_id is None:
        return Unclear("a success that cannot be read", status)
    return Accepted(cobalt_id, _find(reply, "job_id"), _date(response), status)


def _find(reply: Mapping[str, Any], name: str) -> str | None:
    """Find an id at top level or under ``data``, as text; the later ``job_id`` is a number [P]."""
    inner = reply.get("data")
    for place in (reply, inner if isinstance(inner, dict) else {}):
        value = place.get(name)
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if text and len(text) <= LONGEST_ID and text.isprintable():
            return text
    return None


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _message(response: httpx.Response) -> str:
    message = _json_object(response).get("message")
    text = message if isinstance(message, str) and message.strip() else f"HTTP {response.status_code}"
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:SHOWN]


def _date(response: httpx.Response) -> datetime:
    """Read Cobalt's clock; ours stands in where the header is missing or broken."""
    return _read_date(response.headers.get("Date", "")) or datetime.now(UTC)


def _read_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.year not in PLAUSIBLE_YEARS:
        return None
    return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)


def _retry_after(response: httpx.Response) -> timedelta:
    """Read ``Retry-After`` in either of its forms, seconds or a date."""
    text = response.headers.get("Retry-After", "")
    date = _read_date(text)
    try:
        wait = date - _date(response) if date else timedelta(seconds=min(int(text), TOO_MANY.total_seconds()))
    except ValueError:
        return timedelta(seconds=1)
    return max(timedelta(0), min(wait, TOO_MANY))


def _name(error: Exception) -> str:
    return type(error).__name__
