"""What is sent: whole HTTP requests, with bodies as the seed shows them and signatures as Cobalt makes them."""

import hashlib
import hmac
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

EVENTS = "/webhooks/cobalt"
APPOINTMENTS = "/v1/appointments"
# Cobalt's, in the seed's words.
FAILURE_REASON = (
    "Patient MRN '{mrn}' not found in eCW. Please update the MRN using the PATCH /v1/appointments/:id endpoint."
)
FIRST_UNKNOWN = 700_000_000  # Cobalt ids from here on belong to nobody here


@dataclass(frozen=True)
class Waiting:
    """An appointment that Cobalt has taken and not told about yet."""

    cobalt_id: str
    mrn: str


class Events:
    """Makes signed events; no two have the same id, in whatever order and on however many runs.

    Args:
        secret: signs them.
        reference: the account that they are about.
    """

    def __init__(self, secret: str, reference: str) -> None:
        self._secret = secret.encode()
        self._reference = reference
        self._draw = random.Random()  # noqa: S311  ids, not secrets: spread like Cobalt's, which sort by nothing

    def created(self, waiting: Sequence[Waiting]) -> list[bytes]:
        """One `appointment.created` for each."""
        return [
            self._request(
                "appointment.created",
                {
                    "appointment_id": one.cobalt_id,
                    "date_time": "2030-01-15T10:00",
                    "timezone": "America/New_York",
                    "provider_id": "emr_prov_123",
                    "secondary_provider_id": "emr_sec_prov_456",
                    "provider_name": "Dr. Smith",
                    "mrn": one.mrn,
                },
            )
            for one in waiting
        ]

    def failed(self, one: Waiting, count: int) -> list[bytes]:
        """So many `appointment.failed`, all about the same appointment."""
        reason = FAILURE_REASON.format(mrn=one.mrn)
        data = {"appointment_id": one.cobalt_id, "mrn": one.mrn, "failure_reason": reason}
        return [self._request("appointment.failed", data) for _ in range(count)]

    def unknown(self, count: int) -> list[bytes]:
        """So many `appointment.created` about appointments that nobody here asked for."""
        return self.created(
            [
                Waiting(
                    str(self._draw.randrange(FIRST_UNKNOWN, FIRST_UNKNOWN + 10**8)), f"{self._draw.getrandbits(30)}"
                )
                for _ in range(count)
            ]
        )

    def _request(self, kind: str, data: Mapping[str, str]) -> bytes:
        event_id = f"evt_{self._draw.getrandbits(96):024x}"
        now = datetime.now(UTC)
        body = _compact(
            {
                "id": event_id,
                "access_token_reference_id": self._reference,
                "object": "event",
                "created": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "type": kind,
                "data": data,
            }
        )
        return http_request(
            "POST",
            EVENTS,
            {
                "Content-Type": "application/json",
                "cobalt-verification": hmac.digest(self._secret, body, hashlib.sha256).hex(),
                "webhook-id": event_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-attempt": "1",
            },
            body,
        )


def asked_for(api_key: str, count: int) -> list[bytes]:
    """So many calls that ask for an appointment, each for another patient."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"}
    draw = random.Random()  # noqa: S311  not a secret
    return [
        http_request(
            "POST",
            APPOINTMENTS,
            headers,
            _compact(
                {
                    "mrn": str(draw.randrange(10**8, 10**9)),
                    "location": "Main Clinic",
                    "date": "2030-01-15",
                    "time": "10:00",
                    "provider": "Dr. Smith",
                    "type": "new_patient",
                }
            ),
        )
        for _ in range(count)
    ]


def reads(api_key: str, paths: Sequence[str]) -> list[bytes]:
    """A GET of each path."""
    return [http_request("GET", path, {"Authorization": f"Bearer {api_key}"}) for path in paths]


def body_of(request: bytes) -> bytes:
    """The body of a request."""
    return request.partition(b"\r\n\r\n")[2]


def http_request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The bytes of one HTTP request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _compact(value: object) -> bytes:
    """As JavaScript's JSON.stringify writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
