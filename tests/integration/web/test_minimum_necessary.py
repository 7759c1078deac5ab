"""Whatever Cobalt tells of a patient that nobody needs reaches no table, no answer to anybody, and no log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from service.domain.arrivals import Arrival, Source
from service.domain.events import event_from
from service.postgres import schema
from service.postgres.engine import transaction
from service.usecases.events.apply_events import apply
from tests.fake_cobalt import FakeCobalt, look
from tests.integration.postgres.test_migrations import before_migration
from tests.integration.web.test_patients_crawl import SEEING, answers, deliver
from tests.overheard import ENTRY, bodies, events, heard_in
from tests.records import rows

if TYPE_CHECKING:
    import io

    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book


def tables(engine: Engine) -> str:
    """All that is in the database, bytes as text."""
    found = []
    with transaction(engine) as session:
        names = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
    for name in names:
        for row in rows(engine, name):
            found += [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in row.values()]
    return "\n".join(found)


def overhear(api: Api, book: Book, settings: Settings) -> None:
    """Have Cobalt tell everything, in every way that it can come."""
    book.accepted("c_1")
    for raw in bodies("clinic_1", "c_1"):
        deliver(api, raw)
    now = datetime.now(UTC)
    for number, one in enumerate(events("clinic_1", "c_2").values()):
        if one.get("type") and one["data"].get("appointment_id", one["data"].get("id")):
            row = one | {"event_id": f"row_{number}", "event_type": one["type"]}
            del row["id"]
            apply(api.engine, [Arrival(event_from(row, received_at=now), Source.POLL, now)])
    book.accepted("listed_1", mrn="77")
    with transaction(api.engine) as session:
        session.execute(text("UPDATE appointments SET due_at = now(), sent_at = now() - interval '1 day'"))
    look(api.engine, settings, FakeCobalt(listed=[ENTRY]))


def test_nothing_that_nobody_needs_is_kept_shown_or_logged(
    api: Api, book: Book, settings: Settings, logged: io.StringIO
) -> None:
    overhear(api, book, settings)
    statuses = {one["cobalt_appointment_id"]: one["status"] for one in rows(api.engine, "appointments")}
    assert statuses == {"c_1": "created", "listed_1": "created"}
    assert len(rows(api.engine, "events")) > 10
    assert len(rows(api.engine, "quarantine")) == 3
    assert heard_in(tables(api.engine)) == []
    shown = [heard_in(answer.get_data(as_text=True)) for _, _, answer in answers(api, SEEING)]
    assert [one for one in shown if one] == []
    assert heard_in(logged.getvalue()) == []


def test_what_earlier_versions_kept_is_removed(api: Api, book: Book, settings: Settings) -> None:
    book.accepted("c_1")
    deliver(api, json.dumps(events("clinic_1", "c_1")["failed"]).encode())
    api.engine.dispose()
    schema.downgrade(settings.database_url, before_migration("keep_the_minimum_of_events"))
    heard: list[dict[str, Any]] = list(events("clinic_1", "c_1").values())
    with transaction(api.engine) as session:
        for number, one in enumerate(heard):
            session.execute(
                text("""INSERT INTO events (id, type, disposition, occurred_at, received_at, source, payload, raw)
                VALUES (:id, :type, 'ignored', now(), now(), 'webhook', CAST(:payload AS jsonb), :raw)"""),
                {"id": f"old_{number}", "type": one.get("type", "x"), "payload": json.dumps(one),
                 "raw": json.dumps(one).encode()},
            )  # fmt: skip
            session.execute(
                text("""INSERT INTO quarantine (id, received_at, source, reason, raw, digest)
                VALUES (:id, now(), 'webhook', 'x', :raw, :digest)"""),
                {"id": f"qrn_{number}", "raw": json.dumps(one).encode(), "digest": str(number).encode()},
            )
        session.execute(
            text("UPDATE appointments SET failure = jsonb_set(failure, '{details}', CAST(:details AS jsonb))"),
            {"details": json.dumps(heard[0]["data"])},
        )
    assert heard_in(tables(api.engine)) != []
    before = [one["version"] for one in rows(api.engine, "appointments")]
    api.engine.dispose()

    schema.upgrade(settings.database_url)

    assert heard_in(tables(api.engine)) == []
    assert [one["version"] for one in rows(api.engine, "appointments")] == [one + 1 for one in before]
    written = {one["id"]: one["payload"] for one in rows(api.engine, "events")}
    for number, one in enumerate(heard):
        if one.get("type") and number:
            now = datetime.now(UTC)
            if one["data"].get("appointment_id") or not one["type"].endswith("created"):
                assert written[f"old_{number}"] == event_from(one, received_at=now).payload
