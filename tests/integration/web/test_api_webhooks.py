"""Webhooks as Cobalt sends them: taken when they are Cobalt's, and leaving no trace when they are not."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.cobalt.signing import HEADER, sign
from service.postgres.engine import transaction
from service.postgres.models import Base
from service.web.services import services_of
from tests.integration.web.conftest import WEBHOOK_SECRET, Api, webhook_body
from tests.seed_payloads import SEED_PAYLOADS
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Answer, Book

URL = "/webhooks/cobalt"
SEED_IDS = {name: json.loads(raw)["data"]["appointment_id"] for name, raw in SEED_PAYLOADS.items()}


def deliver(api: Api, raw: bytes, *, secret: str = WEBHOOK_SECRET, **rest: Any) -> Answer:
    headers = {HEADER: sign(raw, secret), "Content-Type": "application/json"} | rest.pop("headers", {})
    return api.client.post(URL, data=raw, headers=headers, **rest)


def counts(engine: Engine) -> dict[str, int]:
    """Table -> rows, for the tables that have any."""
    with transaction(engine) as session:
        rows = {
            table: session.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one()  # noqa: S608
            for table in Base.metadata.tables
        }
    return {table: count for table, count in rows.items() if count}


@pytest.mark.parametrize("name", SEED_PAYLOADS)
def test_a_documented_event_is_taken_and_settles_its_appointment(api: Api, book: Book, name: str) -> None:
    raw = SEED_PAYLOADS[name].replace(b"user_1J9X2q2eZvKYlo2Cstuv", b"clinic_1")  # the account of the appointment
    event_id = json.loads(raw)["id"]
    appointment_id = book.accepted(SEED_IDS[name])
    answer = deliver(api, raw)
    assert (answer.status_code, answer.json) == (200, {"event_id": event_id, "disposition": "applied"})
    shown = api.read(f"/v1/appointments/{appointment_id}")
    assert shown["status"] == ("created" if name == "created" else "failed")
    if name != "created":
        assert shown["failure"]["category"] == name
    assert deliver(api, raw).json == {"event_id": event_id, "disposition": "duplicate"}


def test_an_event_that_nobody_asked_for_waits(api: Api, engine: Engine) -> None:
    assert deliver(api, SEED_PAYLOADS["created"]).json["disposition"] == "unmatched"
    assert counts(engine) == {"events": 1, "deliveries": 1, "unmatched_counts": 1}


def test_an_event_of_another_type_is_kept_and_ignored(api: Api, engine: Engine) -> None:
    raw = webhook_body("cancelled", "1", event_id="evt_other")
    assert deliver(api, raw).json == {"event_id": "evt_other", "disposition": "ignored"}
    assert counts(engine) == {"events": 1, "deliveries": 1}


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "0" * 64,
        sign(SEED_PAYLOADS["created"], "another secret"),
        sign(SEED_PAYLOADS["created"] + b" ", WEBHOOK_SECRET),
        sign(SEED_PAYLOADS["created"], WEBHOOK_SECRET)[:-1],
        sign(SEED_PAYLOADS["created"], WEBHOOK_SECRET) + "0",
        "sha256=" + sign(SEED_PAYLOADS["created"], WEBHOOK_SECRET),
        "é" * 64,
        sign(SEED_PAYLOADS["created"], ""),
    ],
)
def test_what_is_not_cobalts_is_refused_and_leaves_nothing(api: Api, engine: Engine, signature: str | None) -> None:
    headers = {} if signature is None else {HEADER: signature}
    answer = api.client.post(URL, data=SEED_PAYLOADS["created"], headers=headers)
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert answer.headers["X-Request-Id"]
    assert counts(engine) == {}


def test_an_upper_case_signature_is_the_same_number(api: Api) -> None:
    raw = SEED_PAYLOADS["created"]
    assert deliver(api, raw, headers={HEADER: sign(raw, WEBHOOK_SECRET).upper()}).status_code == 200


def test_any_of_several_secrets_may_sign(make_app: Callable[[Settings], Flask], settings: Settings) -> None:
    app = make_app(replace(settings, cobalt_webhook_secrets=("whsec_new", "whsec_old")))
    api = Api(client_of(app), services_of(app).engine)
    assert deliver(api, SEED_PAYLOADS["created"], secret="whsec_old").json["disposition"] == "unmatched"
    assert deliver(api, SEED_PAYLOADS["created"], secret="whsec_new").json["disposition"] == "duplicate"
    assert deliver(api, SEED_PAYLOADS["created"], secret=WEBHOOK_SECRET).status_code == 401


@pytest.mark.parametrize(
    "raw",
    [b"", b"not json", b"[1]", b'{"id":"evt_1"}', b"\xff\xfe\x00", b'{"id":"evt_1",', b"[" * 50_000],
    ids=lambda raw: repr(raw[:8]),
)
def test_authentic_bytes_that_cannot_be_read_are_kept_as_they_came(api: Api, engine: Engine, raw: bytes) -> None:
    answer = deliver(api, raw)
    assert (answer.status_code, answer.json["disposition"]) == (202, "quarantined")
    assert deliver(api, raw).status_code == 202
    with transaction(engine) as session:
        kept = session.execute(text("SELECT raw, deliveries, reason FROM quarantine")).one()
    assert (bytes(kept.raw), kept.deliveries) == (raw, 2)
    assert kept.reason


def test_a_body_at_the_limit_is_taken_and_one_over_it_is_not(api: Api, engine: Engine, settings: Settings) -> None:
    largest = settings.webhook_max_bytes
    assert deliver(api, b"x" * largest).status_code == 202
    answer = deliver(api, b"x" * (largest + 1))
    assert answer.status_code == 413
    assert answer.content_type == "application/problem+json"
    assert counts(engine) == {"quarantine": 1}


def test_a_body_over_the_limit_of_unknown_length_is_refused(api: Api, engine: Engine, settings: Settings) -> None:
    raw = b"x" * (settings.webhook_max_bytes + 1)
    answer = api.client.post(
        URL,
        input_stream=io.BytesIO(raw),
        headers={HEADER: sign(raw, WEBHOOK_SECRET), "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert counts(engine) == {}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_the_content_type_does_not_matter(api: Api, content_type: str) -> None:
    raw = SEED_PAYLOADS["gave_up"]
    assert deliver(api, raw, headers={"Content-Type": content_type}).json["disposition"] == "unmatched"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "America", "../../etc/passwd", "America/New_York\ud800"])
def test_a_time_zone_that_there_is_not_is_no_reason_to_lose_an_event(api: Api, book: Book, zone: str) -> None:
    appointment_id = book.accepted("cobalt_1")
    raw = webhook_body("created", "cobalt_1", event_id="evt_1", timezone="ZONE").replace(
        b'"ZONE"', json.dumps(zone).encode()
    )
    assert deliver(api, raw).json["disposition"] == "applied"
    confirmation = api.read(f"/v1/appointments/{appointment_id}")["confirmation"]
    assert confirmation["starts_at"] is None
    assert confirmation["date_time"] == "2030-01-15T10:00"


def test_the_request_id_of_a_delivery_is_answered_and_kept(api: Api, engine: Engine) -> None:
    raw = SEED_PAYLOADS["created"]
    answer = deliver(api, raw, headers={"X-Request-Id": "from-cobalt-1"})
    assert answer.headers["X-Request-Id"] == "from-cobalt-1"
    with transaction(engine) as session:
        assert session.execute(text("SELECT request_id FROM deliveries")).scalar_one() == "from-cobalt-1"
    refused = api.client.post(URL, data=raw, headers={"X-Request-Id": "from-nobody-1"})
    assert refused.status_code == 401
    assert refused.headers["X-Request-Id"] == "from-nobody-1"
