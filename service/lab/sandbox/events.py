"""Cobalt's events: their envelope, their bytes as JavaScript would write them, their signature."""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing Cobalt has to say. `content` is the whole event and `body` its bytes on the wire."""

    id: str
    account: str
    job_id: int | None
    content: Mapping[str, object]
    body: bytes
    lost: bool

    @property
    def created(self) -> str:
        """When it happened, as the event itself says."""
        return str(self.content["created"])


def new_event(
    *,
    account: str,
    kind: str,
    data: Mapping[str, object],
    job_id: int | None,
    created: str,
    later: bool,
    lost: bool,
) -> Event:
    """An event in its envelope, keys in the documented order.

    The later shape carries the job's id as a string, although the create's reply gives a number;
    events about what staff did have none.
    """
    # Random even under a seed: a restarted sandbox must not repeat the ids of the last one.
    event_id = "evt_" + secrets.token_hex(11)
    content: dict[str, object] = {
        "id": event_id,
        "access_token_reference_id": account,
        "object": "event",
        "created": created,
        "type": kind,
    }
    if later and job_id is not None:
        content["job_id"] = str(job_id)
    content["data"] = data
    return Event(id=event_id, account=account, job_id=job_id, content=content, body=stringify(content), lost=lost)


def stringify(value: object) -> bytes:
    r"""The bytes that JavaScript's `JSON.stringify` would send: compact, UTF-8, nothing escaped in vain.

    Lone surrogates, which UTF-8 cannot hold, are escaped as `\udXXX`, as ECMAScript has it since 2019.
    """
    text = ENCODER.encode(value)
    return LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def sign(body: bytes, secret: str) -> str:
    """The `cobalt-verification` header: hex HMAC-SHA256 of the body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def iso(moment: datetime, clock: str = "milliseconds") -> str:
    """A moment in UTC with `Z`, to the second or the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec=clock).removesuffix("+00:00") + "Z"


def new_secret() -> str:
    """A secret such as Cobalt hands out."""
    return "whsec_" + secrets.token_hex(24)
