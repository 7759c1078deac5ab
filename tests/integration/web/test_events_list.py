"""The list of events, for those who look for trouble."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from service.domain.arrivals import Arrival, Source
from service.domain.events import read_event
from service.usecases.events.apply_events import apply
from tests.integration.web.conftest import webhook_body
from tests.records import rows

if TYPE_CHECKING:
    from tests.integration.web.conftest import Api, Book

URL = "/v1/events"
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
OPS = ("ops",)
SEEING = ("ops", "phi")


def arrive(book: Book, raw: bytes, *, source: Source = Source.WEBHOOK, at: datetime | None = None) -> None:
    at = at or datetime.now(UTC)
    apply(book.engine, [Arrival(read_event(raw, received_at=at), source, at, "req_1")])


@pytest.fixture
def of_each(book: Book) -> str:
    """Events that became everything an event can become, a minute apart; returns our appointment's id."""
    one = book.accepted("cobalt_1", mrn="555666777")
    for minute, (raw, source) in enumerate(
        [
            (webhook_body("failed", "cobalt_1", event_id="evt_superseded", mrn="555666777"), Source.WEBHOOK),
            (webhook_body("created", "cobalt_1", event_id="evt_applied", mrn="555666777"), Source.POLL),
            (webhook_body("created", "cobalt_2", event_id="evt_unmatched", mrn="888999000"), Source.SPOOL),
            (webhook_body("cancelled", "cobalt_1", event_id="evt_ignored"), Source.REPLAY),
            (webhook_body("updated", "cobalt_3", event_id="evt_other"), Source.WEBHOOK),
        ]
    ):
        arrive(book, raw, source=source, at=NOON + timedelta(minutes=minute))
    return one


def ids(api: Api, query: str = "") -> list[str]:
    return [event["id"].removeprefix("evt_") for event in api.read(f"{URL}{query}", scopes=OPS)["data"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "other ignored unmatched applied superseded"),
        ("?disposition=applied", "applied"),
        ("?disposition=superseded", "superseded"),
        ("?disposition=unmatched", "unmatched"),
        ("?disposition=ignored", "other ignored"),
        ("?source=webhook", "other superseded"),
        ("?source=poll", "applied"),
        ("?source=spool", "unmatched"),
        ("?source=replay", "ignored"),
        ("?type=appointment.created", "unmatched applied"),
        ("?type=appointment.failed", "superseded"),
        ("?type=appointment.updated", "other"),
        ("?type=nothing.like.it", ""),
        ("?cobalt_appointment_id=cobalt_1", "ignored applied superseded"),
        ("?cobalt_appointment_id=cobalt_2", "unmatched"),
        ("?cobalt_appointment_id=cobalt_4", ""),
        ("?appointment_id=appt_unknown", ""),
        ("?received_from=2030-01-01T12:02:00Z", "other ignored unmatched"),
        ("?received_to=2030-01-01T12:02:00Z", "applied superseded"),
        ("?received_from=2030-01-01T13:01:00%2B01:00&received_to=2030-01-01t12:03:00z", "unmatched applied"),
        ("?disposition=ignored&source=replay&type=appointment.cancelled", "ignored"),
        ("?disposition=applied&type=appointment.updated", ""),
    ],
)
@pytest.mark.usefixtures("of_each")
def test_a_filter_leaves_what_it_names_newest_first(api: Api, query: str, expected: str) -> None:
    assert ids(api, query) == expected.split()


def test_the_events_of_an_appointment_of_ours_are_found(api: Api, of_each: str) -> None:
    assert ids(api, f"?appointment_id={of_each}") == ["applied", "superseded"]


def test_an_event_has_the_documented_shape(api: Api, of_each: str) -> None:
    [applied] = api.read(f"{URL}?disposition=applied", scopes=SEEING)["data"]
    assert applied.pop("occurred_at").endswith("Z")
    assert applied.pop("data")["date_time"] == "2030-01-15T10:00"
    assert applied == {
        "object": "event",
        "id": "evt_applied",
        "type": "appointment.created",
        "disposition": "applied",
        "source": "poll",
        "account_reference": "clinic_1",
        "waits_for": None,
        "repeats": None,
        "cobalt_appointment_id": "cobalt_1",
        "appointment_id": of_each,
        "mrn": "555666777",
        "received_at": "2030-01-01T12:01:00Z",
        "age_seconds": None,
    }


def test_what_is_unmatched_says_how_long_it_has_waited(api: Api, book: Book) -> None:
    raw = webhook_body("created", "cobalt_9", event_id="evt_1")
    arrive(book, raw, at=datetime.now(UTC) - timedelta(hours=3))
    [waiting] = api.read(f"{URL}?disposition=unmatched", scopes=OPS)["data"]
    assert 3 * 3600 <= waiting["age_seconds"] < 3 * 3600 + 60


def test_pages_show_every_event_once_though_times_tie_and_events_are_added(api: Api, book: Book) -> None:
    for number in range(9):
        arrive(book, webhook_body("updated", "c", event_id=f"evt_{number}"), at=NOON + timedelta(seconds=number // 4))
    seen: list[str] = []
    path = f"{URL}?limit=2&type=appointment.updated&received_from={quote('2030-01-01T12:00:00+00:00')}"
    while path:
        answer = api.get(path, scopes=OPS)
        assert answer.status_code == 200, answer.text
        seen += [event["id"] for event in answer.json["data"]]
        link = answer.headers.get("Link")
        assert (link is None) == (answer.json["next_cursor"] is None)
        path = link.partition(">; rel=")[0].lstrip("<") if link else ""
        arrive(book, webhook_body("updated", "c", event_id=f"evt_new_{len(seen)}"), at=NOON + timedelta(days=1))
    assert seen == [f"evt_{number}" for number in (8, 7, 6, 5, 4, 3, 2, 1, 0)]


@pytest.mark.parametrize("url", [URL, "/v1/quarantine"])
def test_a_cursor_of_another_list_or_an_altered_one_is_refused(api: Api, book: Book, url: str) -> None:
    for number in range(3):
        arrive(book, webhook_body("updated", "c", event_id=f"evt_{number}"))
    cursor = api.read(f"{URL}?limit=1&source=webhook", scopes=OPS)["next_cursor"]
    good = f"{URL}?limit=1&source=webhook&cursor={cursor}"
    assert api.get(good, scopes=OPS).status_code == 200
    assert api.read(f"{URL}?cursor={cursor}&limit=1", scopes=OPS) == api.read(good, scopes=OPS)
    another = f"source=poll&cursor={cursor}" if url == URL else f"cursor={cursor}"
    for query in (another, f"cursor={cursor[:-4]}", "cursor=", "cursor=%00"):
        answer = api.get(f"{url}?{query}", scopes=OPS)
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
        assert [error["pointer"] for error in answer.json["errors"]] == ["/query/cursor"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "disposition=lost", "source=mail", "received_from=noon", "type=%00", "dispositon=applied"],
)
def test_a_parameter_that_means_nothing_is_refused(api: Api, query: str) -> None:
    answer = api.get(f"{URL}?{query}", scopes=OPS)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [f"/query/{query.partition('=')[0]}"]


@pytest.mark.parametrize("scopes", [("read", "phi"), ("write",)])
def test_only_operators_see_it(api: Api, scopes: tuple[str, ...]) -> None:
    assert api.get(URL, scopes=scopes).status_code == 403


def test_without_phi_nothing_of_a_patient_is_shown(api: Api, book: Book) -> None:
    one = book.accepted("cobalt_1", mrn="QX-774100", note="weeping willow")
    said: dict[str, Any] = {"mrn": 93345612, "reason": "QX 774100 is 93-345-612; weeping willow"}
    arrive(book, webhook_body("failed", "cobalt_1", event_id="evt_1", **said))
    arrive(book, webhook_body("updated", "cobalt_1", event_id="evt_2", name="Jane Doe", mrn="93345612"))
    hidden = ("774100", "93345612", "93-345-612", "willow")
    shown = api.get(URL, scopes=OPS)
    assert [event["mrn"] for event in shown.json["data"]] == ["***12", "***12"]
    assert [text for text in hidden if text in shown.text] == []
    assert shown.json["data"][1]["data"]["failure_reason"] == "***00 is ***12; ***ow"
    before = len(rows(api.engine, "phi_reads"))
    seen = api.get(f"{URL}?source=webhook", scopes=SEEING)
    assert [text for text in hidden if text not in seen.text] == []
    assert "Jane" not in seen.text  # that is not kept
    [read] = rows(api.engine, "phi_reads")[before:]
    assert (set(read["record_ids"]), read["filters"]) == ({"evt_1", "evt_2", one}, ["source"])
