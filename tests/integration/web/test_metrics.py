"""GET /metrics beside a real database: what it shows, what it never shows, and what happens without PostgreSQL."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.cobalt.signing import HEADER, sign
from service.web.services import attach, services_of
from service.web.views.metrics import StandingCollector
from tests.integration.web.conftest import BODY, WEBHOOK_SECRET, webhook_body
from tests.settings import settings_from
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book

MRN = "QX77410099"


def scrape(api: Api) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) -> value."""
    answer = api.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def counted(api: Api, name: str, **labels: str) -> float:
    return scrape(api).get((name, tuple(sorted(labels.items()))), 0)


@pytest.fixture
def fresh(app: Flask) -> Iterator[Flask]:
    """An application that has not asked the database yet."""
    before = services_of(app)
    attach(app, replace(before, standing=StandingCollector(before.engine, before.spool, None)))
    yield app
    attach(app, before)


def deliver(api: Api, raw: bytes, secret: str = WEBHOOK_SECRET) -> int:
    status: int = api.client.post("/webhooks/cobalt", data=raw, headers={HEADER: sign(raw, secret)}).status_code
    return status


def test_it_says_how_things_stand(fresh: Flask, api: Api, book: Book) -> None:
    assert fresh
    book.queued()
    book.queued()
    book.created()
    book.failed()
    assert deliver(api, webhook_body("created", "nobodys", event_id="evt_nobodys")) == 200
    assert deliver(api, b"{broken") == 202
    with book.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE submissions SET outcome = 'accepted_late' WHERE id = (SELECT min(id) FROM submissions)"
        )
    found = scrape(api)

    assert {status: found["appointments_by_status", (("status", status),)] for status in ("processing", "created")} == {
        "processing": 2,
        "created": 1,
    }
    assert found["appointments_by_status", (("status", "failed"),)] == 1
    assert 0 < found["appointments_oldest_processing_seconds", ()] < 60
    assert found["appointments_unmatched_events", ()] == 1
    assert found["appointments_quarantined", ()] == 1
    assert found["appointments_accepted_late", ()] == 1
    assert found["appointments_database_answers", ()] == 1
    assert found["appointments_spool_events", ()] == 0


def test_it_counts_webhooks_by_what_they_were_answered(api: Api, book: Book) -> None:
    book.accepted("cobalt_1")

    def deliveries() -> dict[str, float]:
        return {
            labels[0][1]: value
            for (name, labels), value in scrape(api).items()
            if name == "appointments_webhook_deliveries_total"
        }

    before = deliveries()
    raw = webhook_body("created", "cobalt_1", event_id="evt_1")
    assert deliver(api, raw, "wrong") == 401
    assert deliver(api, raw) == 200
    assert deliver(api, raw) == 200
    assert deliver(api, b"?" * 2_000_000) == 413
    assert api.client.get("/webhooks/cobalt").status_code == 405
    now = deliveries()

    assert {outcome: now[outcome] - before.get(outcome, 0) for outcome in now} == {
        **dict.fromkeys(now, 0),
        "refused": 1,
        "applied": 1,
        "duplicate": 1,
        "too_large": 1,
        "wrong_method": 1,
    }


def test_outcomes_are_told_apart_by_how_they_came(api: Api, book: Book) -> None:
    def applied(source: str) -> float:
        return counted(api, "appointments_events_total", source=source, disposition="applied")

    before = applied("webhook")
    book.accepted("cobalt_1")
    assert deliver(api, webhook_body("created", "cobalt_1", event_id="evt_1")) == 200
    assert applied("webhook") == before + 1

    assert deliver(api, webhook_body("created", "cobalt_early", event_id="evt_early")) == 200
    assert applied("webhook") == before + 1
    book.accepted("cobalt_early")  # whatever makes the id known applies what waited
    assert applied("webhook") == before + 2


def test_requests_are_counted_by_route_and_never_by_path(api: Api) -> None:
    def requests() -> float:
        return counted(
            api,
            "appointments_http_requests_total",
            route="/v1/appointments/<appointment_id>",
            method="GET",
            status="404",
        )

    before = requests()
    for number in range(5):
        assert api.get(f"/v1/appointments/{MRN}{number}").status_code == 404
    assert requests() == before + 5


def test_whatever_is_asked_for_no_label_is_new(api: Api, book: Book) -> None:
    """Twice the same history under other names: the second adds values, and not one series."""

    def history(suffix: str) -> None:
        made = api.post(BODY | {"mrn": MRN + suffix, "note": f"note {suffix}", "metadata": {suffix: MRN}})
        api.get(f"/v1/appointments/{made.json['id']}/timeline")
        api.get(f"/v1/appointments/{MRN}{suffix}")
        api.get(f"/{MRN}{suffix}")
        api.get(f"/v1/appointments?account={MRN}{suffix}")
        api.client.open(f"/v1/appointments?mrn={MRN}", method=f"X{suffix}")
        api.client.get("/livez", headers={"X-Request-Id": f"{MRN}{suffix}-req"})
        book.failed(f"{MRN}{suffix} is not known", mrn=MRN + suffix)
        deliver(api, webhook_body("created", f"cobalt_{suffix}", event_id=f"evt_{suffix}", mrn=MRN + suffix))
        deliver(api, f'{{"mrn": "{MRN}{suffix}"'.encode())

    history("one")
    first = scrape(api)
    history("two")
    second = scrape(api)
    assert second.keys() == first.keys()
    text = api.client.get("/metrics").text
    for canary in (MRN, "evt_", "appt_", "cobalt_o", "clinic_1", api.key("read")):
        assert canary not in text
    assert re.findall(r"key_[0-9A-Z]{26}", text) == []


def test_without_postgresql_it_shows_the_rest_and_soon(
    shared_environment: dict[str, str], make_app: Callable[[Settings], Flask]
) -> None:
    nowhere = "postgresql://u@127.0.0.1:9/none"
    app = make_app(settings_from(**shared_environment | {"DATABASE_URL": nowhere}))
    client = client_of(app)
    for _ in range(2):
        began = time.monotonic()
        answer = client.get("/metrics")
        assert time.monotonic() - began < 3
        assert answer.status_code == 200
        assert "appointments_database_answers 0.0" in answer.text
        assert "appointments_spool_events" in answer.text
        assert "appointments_by_status{" not in answer.text


def test_however_often_it_is_scraped_the_database_is_asked_once(fresh: Flask, api: Api, book: Book) -> None:
    assert fresh
    book.queued()
    first = scrape(api)
    book.queued()
    assert scrape(api)["appointments_by_status", (("status", "processing"),)] == 1
    assert first["appointments_by_status", (("status", "processing"),)] == 1


def test_it_says_which_database_answered(api: Api) -> None:
    before = counted(api, "appointments_reads_total", database="primary")
    assert api.get("/v1/appointments").status_code == 200
    assert counted(api, "appointments_reads_total", database="primary") == before + 1
