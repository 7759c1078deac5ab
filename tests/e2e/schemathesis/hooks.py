"""What schemathesis cannot know from the document: the secret that signs webhooks, and which rows there are.

It loads this module in its own process. Nothing that it draws is dropped here, and no failure of its is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import zlib
from collections import defaultdict
from itertools import count
from typing import Any

import requests
import schemathesis
from schemathesis.generation.meta import CoverageScenario

KNOWN = json.loads(os.environ["KNOWN_ROWS"])
"""Name of a path parameter, or of the field `account` -> values of it that there are."""
SECRET = os.environ["WEBHOOK_SECRET"].encode()
PREFIX = hashlib.sha256(SECRET).hexdigest()[:16]

PLACES = {"cursor", "after"}
PERIOD = {"from", "to"}
"""Two drawn at random are mostly in the wrong order, or centuries apart."""
GOOD_KEY = re.compile(r"[\x21-\x7e]{1,255}")
WAITING = 10
"""Of each operation's good requests that would wait, one in so many does: nearly all would, for a second each."""

_numbers = count()
_patient: defaultdict[tuple[str, str], count[int]] = defaultdict(count)


class Signature(requests.auth.AuthBase):
    """Signs the body as it is sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        raw: Any = request.body or b""
        raw = raw.encode() if isinstance(raw, str) else raw
        request.headers["cobalt-verification"] = hmac.new(SECRET, raw, hashlib.sha256).hexdigest()
        return request


auth: Any = schemathesis.auth
auth.set_from_requests(Signature()).apply_to(path="/webhooks/cobalt")


def spread(drawn: Any, among: int) -> int:  # noqa: ANN401 (JSON)
    """Draw a number below this, always the same for the same value."""
    return zlib.crc32(str(drawn).encode("utf-8", "surrogateescape")) % among


def known(name: str, drawn: Any) -> Any:  # noqa: ANN401 (JSON)
    """Name something that there is in place of every second drawn value, which would only ever be a 404."""
    return drawn if spread(drawn, 2) else KNOWN[name][spread(drawn, 2 * len(KNOWN[name])) // 2]


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: Any) -> None:  # noqa: ANN401, ARG001 (schemathesis')
    """Put what there is into a request that the document allows, and a good Idempotency-Key into any."""
    if case.meta is None or getattr(case.meta.phase.data, "scenario", None) == CoverageScenario.MISSING_PARAMETER:
        return  # what is missing would be put back
    key = case.headers.get("Idempotency-Key")
    if isinstance(key, str) and GOOD_KEY.fullmatch(key):
        case.headers["Idempotency-Key"] = f"{PREFIX}-{next(_numbers)}"  # that of another request is refused
    is_good = case.meta.generation.mode.is_positive
    if "If-Match" in case.headers and not (is_good and spread(case.headers["If-Match"], 2)):
        case.headers["If-Match"] = "*"  # a drawn one names no version that there is, and 412 would be all that is seen
    if not is_good:
        return
    for name, value in case.path_parameters.items():
        if name in KNOWN:
            case.path_parameters[name] = known(name, value)
    for name in PLACES & case.query.keys():
        if spread(case.query, 4):
            del case.query[name]  # with one that no answer gave, every request would be a 400
    if "wait" in str(case.headers.get("Prefer")) and next(_patient[case.method, case.path]) % WAITING:
        case.headers["Prefer"] = "wait=0"
    if PERIOD & case.query.keys():
        case.query |= {"from": "2025-01-01T00:00:00Z", "to": "2025-01-03T12:34:56+02:00"}
    if isinstance(case.body, dict):
        case.body = taken(case.body, case.method)


def taken(body: dict[str, Any], method: str) -> dict[str, Any]:
    """Mend in a body what the document allows and no schema can tell from what is there."""
    if isinstance(body.get("account"), str) and "mrn" in body:
        body["account"] = KNOWN["account"][0]
    if "metadata" in body:
        body["metadata"] = storable(body["metadata"])
    return whole_start(body) if method == "PATCH" else body


def storable(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Leave out NUL, at any depth: only a schema that holds itself could forbid it, and generators skip those."""
    if isinstance(value, dict):
        return {storable(name): storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    return value.replace("\0", "") if isinstance(value, str) else value


def whole_start(changes: dict[str, Any]) -> dict[str, Any]:
    """Correct a start whole: whether a part of one is good alone depends on the row."""
    given = {name for name in ("date", "time", "datetime") if changes.get(name) is not None}
    rest = {name: value for name, value in changes.items() if name in given or name not in {"date", "time", "datetime"}}
    if given & {"date", "time"}:
        return {"date": "2030-01-15", "time": "10:00", **rest}
    return rest or {"type": "new_patient"}
