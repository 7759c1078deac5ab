"""What a caller sends to a place where it does not belong does not come back: it may be an MRN."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import Client

from service.cobalt.signing import sign
from service.web.openapi.pages import described
from tests.integration.web.conftest import ALL_SCOPES, BODY, WEBHOOK_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.web.conftest import Answer, Api, Book

CANARY = "555666777"
HEADERS = (
    *("Accept", "Content-Type", "Prefer", "If-Match", "If-None-Match", "Authorization", "Cookie", "Range"),
    *("Origin", "Access-Control-Request-Method", "Host", "X-Forwarded-Host", "X-Forwarded-Prefix", "Content-Encoding"),
)


def operations(api: Api, one: str) -> Iterator[tuple[str, str, list[str]]]:
    """Every operation of the document: method, address, the names of its parameters in the query."""
    document: dict[str, Any] = described(api.app).document()
    for path, item in document["paths"].items():
        for method in item.keys() & {"get", "post", "patch", "put", "delete"}:
            names = [one["name"] for one in item[method].get("parameters", ()) if one.get("in") == "query"]
            yield method.upper(), path.replace("{appointment_id}", one), names


class Unjudged:
    """Calls with an API key, and without a look at what the document says of an answer."""

    def __init__(self, api: Api) -> None:
        self._client, self._key = api.client, api.key(*ALL_SCOPES)

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **rest: Any) -> Answer:
        given = {"Authorization": f"Bearer {self._key}"} | (headers or {})
        return Client.open(self._client, path, method=method, headers=given, **rest)


def misplaced(api: Api, one: str) -> Iterator[tuple[str, Answer]]:
    """Put the canary wherever something can be put: (where, answer)."""
    unjudged = Unjudged(api)
    for method, path, names in operations(api, one):
        where = f"{method} {path}"
        address = re.sub(r"{\w+}", CANARY, path)
        body = {"json": BODY} if method in {"POST", "PATCH"} else {}
        yield f"{where}: unknown parameter", unjudged.call(method, f"{address}?{CANARY}=1&x{CANARY}={CANARY}", **body)
        for name in names:
            yield f"{where}: {name}", unjudged.call(method, f"{address}?{name}={CANARY}", **body)
            yield f"{where}: {name}, broken", unjudged.call(method, f"{address}?{name}={CANARY}%00", **body)
        for name in HEADERS:
            yield f"{where}: {name}", unjudged.call(method, address, headers={name: CANARY}, **body)
            yield f"{where}: {name}", unjudged.call(method, address, headers={name: f"x/{CANARY}; a={CANARY}"}, **body)
        for header in ({"Idempotency-Key": f"{CANARY} {CANARY}"}, {"X-Request-Id": f"{CANARY} {CANARY}"}):
            yield f"{where}: {header}", unjudged.call(method, address, headers=header, **body)
        doubled = address[0] + address[1:].replace("/", "//", 1)
        for other in (f"{address}/", f"{address}/{CANARY}", f"{address};{CANARY}", f"/.{address}", doubled):
            yield f"{where}: {other}", unjudged.call(method, f"http://localhost{other}?x={CANARY}", **body)
        yield f"{where}: method", unjudged.call(CANARY, address)
        if method in {"POST", "PATCH"}:
            for wrong in bodies():
                answer = unjudged.call(method, address, data=wrong, content_type="application/json")
                yield f"{where}: {wrong[:60]!r}", answer


def bodies() -> Iterator[bytes]:
    for written in (
        {CANARY: 1}, {f"a/{CANARY}~": {CANARY: CANARY}}, {f"mrn{CANARY}": "1"}, [CANARY], CANARY, 555666777,
        BODY | {CANARY: CANARY}, BODY | {"metadata": {CANARY: "\ud800"}}, BODY | {"metadata": {CANARY + "\0": 1}},
        BODY | {"metadata": CANARY}, BODY | {"time": CANARY}, BODY | {"date": CANARY}, BODY | {"duration": CANARY},
        BODY | {"account": CANARY}, BODY | {"new_patient": CANARY}, BODY | {"mrn": {CANARY: CANARY}},
    ):  # fmt: skip
        yield json.dumps(written).encode()
    yield f'{{"{CANARY}": 1, "{CANARY}": 2}}'.encode()
    yield f'{{"metadata": {{"{CANARY}": 1, "{CANARY}": 2}}}}'.encode()
    yield f"{CANARY} is no JSON {CANARY}".encode()
    yield b"\xff" + CANARY.encode()


def test_no_refusal_repeats_what_was_sent(api: Api, book: Book) -> None:
    one = book.failed()
    back, refused = [], 0
    for where, answer in misplaced(api, one):
        said = answer.get_data(as_text=True) + str(answer.headers)
        if answer.status_code >= 300:
            refused += 1
            if CANARY in said:
                back.append((where, answer.status_code, said[max(0, said.index(CANARY) - 80) :][:200]))
        elif answer.status_code >= 500:
            back.append((where, answer.status_code, "broke"))
    assert back == []
    assert refused > 400


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({CANARY: CANARY}).encode(),
        json.dumps({"id": CANARY * 30, "type": "appointment.failed", "data": {CANARY: 1}}).encode(),
        json.dumps({"id": "evt_1", "type": "appointment.failed", CANARY: CANARY, "data": CANARY}).encode(),
        f'{{"{CANARY}": {CANARY}'.encode(),
        CANARY.encode() + b"\xff",
    ],
)
def test_what_is_wrong_with_a_webhook_does_not_say_what_was_in_it(api: Api, raw: bytes) -> None:
    headers = {"cobalt-verification": sign(raw, WEBHOOK_SECRET)}
    answer = api.client.post("/webhooks/cobalt", data=raw, headers=headers)
    assert (answer.status_code, CANARY in answer.text) == (202, False)
    listed = api.get("/v1/quarantine", scopes=("ops",))
    assert len(listed.json["data"]) == 1
    assert CANARY not in listed.text
