"""Whatever Cobalt's signature stands on is kept, as an event or in quarantine, and nothing breaks or hangs."""

from __future__ import annotations

import hashlib
import itertools
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.domain.event_bodies import Unreadable
from service.domain.events import read_event
from service.domain.exact_json import document
from service.domain.minimum import reduce_bytes
from service.postgres.engine import transaction
from tests.records import created, open_engine, rows, submit
from tests.seed_payloads import SEED_PAYLOADS
from tests.webhook_process import Web, opened_web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

LIMIT = 1_048_576
EVENT = json.loads(SEED_PAYLOADS["created"])
DEEP = b"[" * 100_000 + b"]" * 100_000
FIELDS: list[tuple[str, ...]] = [
    ("id",),
    ("type",),
    ("created",),
    ("object",),
    ("access_token_reference_id",),
    ("data",),
    ("job_id",),
]
FIELDS += [("data", name) for name in (*EVENT["data"], "failure_reason", "conflict_details", "reasons")]
ODD_VALUES = [
    b"null", b"true", b"0", b"-1", b"1e400", b"-0.0", b"1e-400", b"9" * 5000, b"0.1234567890123456789012345",
    b'""', b'" "', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u202e\xf0\x9f\x98\x80"',
    b'"' + b"x" * 10_000 + b'"',
    b"[]", b"{}", b"[[[[]]]]", b'{"a":{"b":[1,null]}}', b'"9999-12-31T23:59:59Z"', b'"0001-01-01T00:00:00+14:00"',
    b'"2025-02-30T25:61"', b'"../../etc/passwd"', b'"\'; DROP TABLE events; --"', b'"\\\\x00"', b'["2025"]',
]  # fmt: skip


def with_field(path: tuple[str, ...], value: bytes, event: dict[str, Any] = EVENT) -> bytes:
    """The event with one field written as these bytes."""
    mark = "f5a1c0de"
    changed = json.loads(json.dumps(event))
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = mark
    return json.dumps(changed).encode().replace(f'"{mark}"'.encode(), value)


NOT_EVENTS = {
    "empty": b"",
    "blank": b" \n\t ",
    "a lone NUL": b"\x00",
    "not JSON": b"{",
    "null": b"null",
    "a number": b"42",
    "a text": b'"evt"',
    "an array": b"[1,2,3]",
    "an array of events": b"[" + SEED_PAYLOADS["created"] + b"]",
    "two events": SEED_PAYLOADS["created"] * 2,
    "deep arrays": DEEP,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "NaN": with_field(("data", "duration"), b"NaN"),
    "Infinity": with_field(("data", "duration"), b"-Infinity"),
    "UTF-16": SEED_PAYLOADS["created"].decode().encode("utf-16"),
    "UTF-8 cut short": SEED_PAYLOADS["created"].replace(b"Dr. Smith", b"\xf0\x9f\x98"),
    "Latin-1": SEED_PAYLOADS["created"].replace(b"Dr. Smith", b"M\xfcller"),
    "an encoded surrogate": SEED_PAYLOADS["created"].replace(b"Dr. Smith", b"\xed\xa0\x80"),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(200),
    "as large as may be": b"x" * LIMIT,
    "many short arrays": with_field(("data", "more"), b"[" + b"[]," * 300_000 + b"[]]"),
    "many floats": with_field(("data", "more"), b"[" + b"0.1," * 250_000 + b"1]"),
    "a field nested too deeply": with_field(("data", "more"), DEEP),
}
EVENTS = {
    "a byte order mark": b"\xef\xbb\xbf" + SEED_PAYLOADS["created"],
    "duplicate keys": SEED_PAYLOADS["created"].replace(b'{"id":', b'{"id":"evt_other","id":', 1),
    "NUL in a key": SEED_PAYLOADS["created"].replace(b'"object"', b'"obj\\u0000ect"'),
    "lone surrogates in a key": SEED_PAYLOADS["created"].replace(b'"object"', b'"\\ud800"'),
    "a number of a million digits": with_field(("data", "more"), b"1" * 1_000_000),
    "an exponent beyond everything": with_field(("data", "more"), b"1e999999999999999999"),
    "as large as may be": with_field(("data", "note"), b'"' + b"x" * (LIMIT - 700) + b'"'),
    "a million backslashes": with_field(("data", "note"), b'"' + b"\\\\" * 500_000 + b'"'),
    "many fields": with_field(("data", "more"), json.dumps({str(n): n for n in range(5_000)}).encode()),
    # Too large for an index, and of an appointment that nobody knows.
    "an MRN that is a long list": with_field(
        ("data", "mrn"), json.dumps([hashlib.sha256(bytes([n])).hexdigest() for n in range(200)]).encode()
    ).replace(EVENT["data"]["appointment_id"].encode(), b"unknown-1"),
    "prototype": with_field(("data", "__proto__"), b'{"admin":true}'),
}


@pytest.fixture(scope="module")
def engine_and_web(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, Web]]:
    """One database for all bodies of this file: what is kept is told apart by its bytes."""
    from tests.conftest import fresh_database  # noqa: PLC0415  the fixture makes one for each test

    with (
        fresh_database(server_url, template) as url,
        open_engine(url) as engine,
        opened_web(url, tmp_path_factory.mktemp("spool")) as web,
    ):
        submit(engine, EVENT["data"]["appointment_id"])
        yield engine, web


def may_be_kept_of(raw: bytes) -> set[bytes]:
    """What the quarantine may hold of a body: itself, or what is left of it without what nobody needs."""
    kept = {raw, reduce_bytes(raw)}
    with suppress(Unreadable):
        kept.add(document(read_event(raw, received_at=datetime.now(UTC)).payload))
    return kept


def send(engine_and_web: tuple[Engine, Web], raw: bytes) -> str:
    """Send one; it must be answered in time with what became of it, and be there. Returns where."""
    engine, web = engine_and_web
    answer = web.post(raw)
    assert answer.status_code in {200, 202}, (raw[:200], answer.text)
    assert answer.json is not None
    disposition, event_id = answer.json["disposition"], answer.json["event_id"]
    if disposition == "spooled":  # reading all of it took too long to wait for
        web.drain()
    with transaction(engine) as session:
        quarantined = session.scalar(
            text("SELECT 1 FROM quarantine WHERE raw = ANY(:raws)"), {"raws": list(may_be_kept_of(raw))}
        )
        known = session.scalar(text("SELECT 1 FROM events WHERE id = :id"), {"id": event_id})
    if event_id is None or disposition == "quarantined":  # it may be another one under a known id
        assert (answer.status_code, quarantined) == (202, 1)
        return "quarantine"
    assert (known, quarantined) == (1, None)
    assert disposition in {"applied", "superseded", "unmatched", "ignored", "duplicate", "spooled"}
    return "event"


@pytest.mark.parametrize("name", NOT_EVENTS)
def test_what_is_no_event_is_quarantined(engine_and_web: tuple[Engine, Web], name: str) -> None:
    assert send(engine_and_web, NOT_EVENTS[name]) == "quarantine"


@pytest.mark.parametrize("name", EVENTS)
def test_an_odd_event_is_an_event(engine_and_web: tuple[Engine, Web], name: str) -> None:
    raw = EVENTS[name].replace(EVENT["id"].encode(), b"evt_" + name.replace(" ", "_").encode())

    assert send(engine_and_web, raw) == "event"


_numbers = itertools.count()


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_an_odd_value_in_any_field_of_any_kind_of_event_is_kept(
    engine_and_web: tuple[Engine, Web], path: tuple[str, ...]
) -> None:
    engine, web = engine_and_web
    kinds = itertools.cycle((EVENT, json.loads(SEED_PAYLOADS["gave_up"])))
    bodies = [
        with_field(path, value, event | {"id": f"evt_odd_{next(_numbers)}"})
        for value, event in zip(ODD_VALUES * 2, kinds, strict=False)
    ]

    answers = web.take_at_once(*bodies)

    web.drain()
    assert {status for status, _ in answers} <= {200, 202}
    assert {disposition for _, disposition in answers} <= {
        "applied", "superseded", "unmatched", "ignored", "duplicate", "quarantined", "spooled",
    }  # fmt: skip
    quarantined = {bytes(found["raw"]) for found in rows(engine, "quarantine")}
    known = {found["id"] for found in rows(engine, "events")}
    lost = [one for one in bodies if not may_be_kept_of(one) & quarantined and _id_of(one) not in known]
    assert not [body[:200] for body in lost]


def _id_of(body: bytes) -> str:
    said = read_event(body, received_at=datetime.now(UTC))
    return said.id


def test_ids_of_ten_thousand_characters_are_quarantined(engine_and_web: tuple[Engine, Web]) -> None:
    for path in (("id",), ("type",), ("data", "appointment_id"), ("data", "mrn")):
        raw = with_field(path, b'"' + path[-1].encode() * 5000 + b'"')
        assert send(engine_and_web, raw) == "quarantine"


def test_text_that_postgresql_cannot_hold_is_in_the_event_and_in_its_exact_bytes(
    engine_and_web: tuple[Engine, Web],
) -> None:
    engine, _ = engine_and_web
    raw = created("evt_nul", "nobodys", provider_name="Dr.\x00 Sm\ud800th")

    assert send(engine_and_web, raw) == "event"
    [event] = [found for found in rows(engine, "events") if found["id"] == "evt_nul"]
    assert event["payload"]["data"]["provider_name"] == "Dr.\ufffd Sm\ufffdth"
    assert event["raw"] == raw


@pytest.mark.parametrize("size", [LIMIT + 1, 8 * LIMIT])
def test_what_is_larger_than_any_webhook_is_refused_and_not_kept(engine_and_web: tuple[Engine, Web], size: int) -> None:
    engine, web = engine_and_web
    before = len(rows(engine, "quarantine"))

    answer = web.post(b"y" * size)

    assert answer.status_code == 413
    assert answer.content_type == "application/problem+json"
    assert len(rows(engine, "quarantine")) == before


@pytest.mark.parametrize(
    "signature", ["", "0", "zz" * 32, "é" * 64, "a" * 100_000, "0" * 64, "\U0001f600"], ids=range(7)
)
def test_odd_signatures_are_refused(engine_and_web: tuple[Engine, Web], signature: str) -> None:
    _, web = engine_and_web
    for raw in (b"", DEEP, SEED_PAYLOADS["created"]):
        environ = {"HTTP_COBALT_VERIFICATION": signature.encode().decode("latin-1")}
        answer = web.client.post("/webhooks/cobalt", data=raw, environ_overrides=environ)
        assert answer.status_code == 401


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated_payloads(draw: st.DrawFn) -> bytes:
    """A documented body with fields changed, dropped or moved, or with bytes flipped, cut or doubled."""
    raw = draw(st.sampled_from([*SEED_PAYLOADS.values()]))
    event: Any = json.loads(raw)
    for _ in range(draw(st.integers(0, 3))):
        inner = draw(st.sampled_from([event, event["data"]] if isinstance(event.get("data"), dict) else [event]))
        name = draw(st.sampled_from([*inner, "extra"]) if inner else st.just("extra"))
        if draw(st.booleans()):
            inner[name] = draw(JSON)
        else:
            inner.pop(name, None)
    raw = json.dumps(event).encode()
    if draw(st.booleans()):
        return raw
    start = draw(st.integers(0, len(raw)))
    end = draw(st.integers(start, min(len(raw), start + 20)))
    return raw[:start] + draw(st.sampled_from([b"", raw[start:end] * 2, draw(st.binary(max_size=5))])) + raw[end:]


@settings(max_examples=70, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(raw=mutated_payloads())
def test_a_mutated_body_is_an_event_or_in_quarantine(engine_and_web: tuple[Engine, Web], raw: bytes) -> None:
    send(engine_and_web, raw)


def test_all_odd_bodies_at_once_suffer_nothing_for_each_other(engine_and_web: tuple[Engine, Web]) -> None:
    engine, web = engine_and_web
    good = [created(f"evt_good_{number}", "nobodys") for number in range(20)]
    odd = [
        with_field(("data", "provider_name"), value, EVENT | {"id": f"evt_odd_{value[:9]!r}"}) for value in ODD_VALUES
    ]

    answers = web.take_at_once(*itertools.chain(*itertools.zip_longest(good, odd, fillvalue=b"odd")))

    web.drain()
    assert {status for status, _ in answers} <= {200, 202}
    assert {f"evt_good_{number}" for number in range(20)} <= {found["id"] for found in rows(engine, "events")}
