"""What could not be read is listed, shown and read again after a fix, by API and by command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from service.cli import cli
from service.cobalt.signing import sign
from service.domain.event_bodies import Unreadable
from service.postgres.sessions import connect
from tests.integration.web.conftest import WEBHOOK_SECRET, Api, Book, webhook_body
from tests.records import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sqlalchemy import Engine

    from service.domain.events import Event

PHI = b'{"id":"evt_1","mrn":"987654321"'  # cut short


def send(api: Api, raw: bytes) -> tuple[int, dict[str, Any]]:
    answer = api.client.post("/webhooks/cobalt", data=raw, headers={"cobalt-verification": sign(raw, WEBHOOK_SECRET)})
    assert answer.json is not None
    return answer.status_code, answer.json


def listed(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.read("/v1/quarantine", scopes=("ops",))["data"]
    return found


@pytest.fixture
def one(api: Api) -> str:
    """The id of a record that cannot be read."""
    assert send(api, PHI) == (202, {"event_id": None, "disposition": "quarantined"})
    [found] = listed(api)
    found_id: str = found["id"]
    return found_id


@pytest.fixture
def breaking_reader() -> Iterator[Callable[[], None]]:
    """Makes every body unreadable; yields what fixes that."""

    def broken(_raw: bytes, *, received_at: datetime) -> Event:
        raise Unreadable(f"a bug of ours in {received_at.year}")

    with pytest.MonkeyPatch.context() as patch:
        for place in ("service.usecases.events.take_webhook.read_event", "service.usecases.events.replay.read_event"):
            patch.setattr(place, broken)
        yield patch.undo


def test_what_is_listed_and_shown_has_no_content_without_phi(api: Api, one: str) -> None:
    [found] = listed(api)
    shown = api.get(f"/v1/quarantine/{one}", scopes=("ops",))

    assert found["reason"].startswith("not JSON")
    assert (found["size"], found["deliveries"], found["source"], found["replayed_at"]) == (len(PHI), 1, "webhook", None)
    assert shown.json == found
    assert "987654321" not in shown.text + api.get("/v1/quarantine", scopes=("ops",)).text


def test_the_content_is_shown_to_who_sees_phi(api: Api, one: str) -> None:
    shown = api.read(f"/v1/quarantine/{one}", scopes=("ops", "phi"))

    assert shown["content"] == PHI.decode()
    assert "987654321" not in api.get("/v1/quarantine", scopes=("ops", "phi")).text


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"", b"\x00", "é".encode("latin-1") * 3])
def test_bytes_that_are_no_text_can_be_shown(api: Api, raw: bytes) -> None:
    send(api, raw)
    [found] = listed(api)

    shown = api.read(f"/v1/quarantine/{found['id']}", scopes=("ops", "phi"))

    assert shown["content"].encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1") == raw


@pytest.mark.parametrize("scopes", [("read",), ("phi", "read"), ("write",)])
def test_only_operators_see_it(api: Api, one: str, scopes: tuple[str, ...]) -> None:
    for method, path in (("GET", ""), ("GET", f"/{one}"), ("POST", f"/{one}/replay")):
        assert api.call(method, f"/v1/quarantine{path}", scopes=scopes).status_code == 403


def test_the_same_bytes_again_only_count(api: Api, one: str) -> None:
    send(api, PHI)
    send(api, PHI)

    [found] = listed(api)
    assert (found["id"], found["deliveries"]) == (one, 3)


def test_the_list_goes_on_in_pages_newest_first(api: Api) -> None:
    for number in range(5):
        send(api, b"unreadable %d" % number)

    first = api.read("/v1/quarantine?limit=3", scopes=("ops",))
    second = api.read(f"/v1/quarantine?limit=3&cursor={first['next_cursor']}", scopes=("ops",))

    assert len(first["data"]) == 3
    assert second["next_cursor"] is None
    assert [one["id"] for one in first["data"] + second["data"]] == sorted(
        (one["id"] for one in first["data"] + second["data"]), reverse=True
    )


def test_a_replay_without_a_fix_changes_nothing(api: Api, one: str) -> None:
    answer = api.post(None, f"/v1/quarantine/{one}/replay", scopes=("ops",))

    assert (answer.status_code, answer.json) == (200, {"disposition": "quarantined", "event_id": None})
    [found] = listed(api)
    assert found["replayed_at"] is None


def test_a_replay_after_a_fix_applies_the_event_once(
    api: Api, book: Book, engine: Engine, breaking_reader: Callable[[], None]
) -> None:
    appointment_id = book.accepted("cobalt_1")
    raw = webhook_body("created", "cobalt_1", event_id="evt_1")
    assert send(api, raw)[0] == 202
    [found] = listed(api)
    assert found["reason"].startswith("a bug of ours")

    breaking_reader()
    answers = [api.post(None, f"/v1/quarantine/{found['id']}/replay", scopes=("ops",)).json for _ in range(3)]

    assert answers == [
        {"disposition": "applied", "event_id": "evt_1"},
        *[{"disposition": "duplicate", "event_id": "evt_1"}] * 2,
    ]
    assert api.read(f"/v1/appointments/{appointment_id}")["status"] == "created"
    [replayed] = listed(api)
    assert replayed["event_id"] == "evt_1"
    assert replayed["replayed_at"] is not None
    assert [event["source"] for event in rows(engine, "events")] == ["replay"]
    assert send(api, raw)[1]["disposition"] == "duplicate"


def test_a_replay_with_an_idempotency_key_gives_its_first_answer_again(
    api: Api, book: Book, breaking_reader: Callable[[], None]
) -> None:
    book.accepted("cobalt_1")
    send(api, webhook_body("created", "cobalt_1", event_id="evt_1"))
    [found] = listed(api)
    breaking_reader()
    headers = {"Idempotency-Key": "replay-1"}
    path = f"/v1/quarantine/{found['id']}/replay"
    first, second = (api.post(None, path, scopes=("ops",), headers=headers) for _ in range(2))
    assert first.json == second.json == {"disposition": "applied", "event_id": "evt_1"}
    assert second.headers["Idempotent-Replayed"] == "true"


def test_a_replay_of_what_the_database_still_refuses_keeps_it(
    api: Api, book: Book, shared_environment: dict[str, str]
) -> None:
    book.accepted("cobalt_1")
    with connect(shared_environment["DATABASE_URL"], autocommit=True) as control:
        control.execute("ALTER TABLE events ADD CONSTRAINT refusal CHECK (id <> 'evt_1') NOT VALID")
        try:
            taken = send(api, webhook_body("created", "cobalt_1", event_id="evt_1"))
            [found] = listed(api)
            path = f"/v1/quarantine/{found['id']}/replay"
            refused = api.post(None, path, scopes=("ops",))
        finally:
            control.execute("ALTER TABLE events DROP CONSTRAINT refusal")
    applied = api.post(None, path, scopes=("ops",))

    assert taken == (202, {"event_id": None, "disposition": "quarantined"})
    assert (refused.status_code, refused.json) == (200, {"disposition": "quarantined", "event_id": None})
    assert applied.json == {"disposition": "applied", "event_id": "evt_1"}


@pytest.mark.parametrize("unknown", ["qrn_unknown", "x" * 5000, "%00", "%F0%9F%98%80"])
def test_an_unknown_record_is_not_found(api: Api, unknown: str) -> None:
    assert api.get(f"/v1/quarantine/{unknown}", scopes=("ops",)).status_code == 404
    assert api.post(None, f"/v1/quarantine/{unknown}/replay", scopes=("ops",)).status_code == 404


@pytest.fixture
def contradicting(api: Api, book: Book) -> str:
    """The id of a record that came under a known event's id, with another body; both are about appointments of ours."""
    book.accepted("cobalt_1")
    book.accepted("cobalt_2")
    assert send(api, webhook_body("created", "cobalt_1", event_id="evt_1")) == (
        200,
        {"event_id": "evt_1", "disposition": "applied"},
    )
    assert send(api, webhook_body("failed", "cobalt_2", event_id="evt_1")) == (
        202,
        {"event_id": "evt_1", "disposition": "quarantined"},
    )
    [found] = listed(api)
    found_id: str = found["id"]
    return found_id


def test_another_body_under_a_known_id_is_shown_with_digests_to_who_sees_phi(api: Api, contradicting: str) -> None:
    shown = api.read(f"/v1/quarantine/{contradicting}", scopes=("ops",))
    seen = api.read(f"/v1/quarantine/{contradicting}", scopes=("ops", "phi"))

    assert (shown["contradicts"], shown["dismissed_at"], shown["decided_by"]) == ("evt_1", None, None)
    assert seen.keys() - shown.keys() == {"content", "said_digest", "recorded_digest"}
    assert len({seen["said_digest"], seen["recorded_digest"]}) == 2
    assert '"appointment.failed"' in seen["content"]


def test_a_person_takes_it_for_an_event_of_its_own(api: Api, engine: Engine, contradicting: str) -> None:
    answers = [api.post(None, f"/v1/quarantine/{contradicting}/accept", scopes=("ops",)) for _ in range(2)]

    own = f"evt_1~{contradicting}"
    assert [answer.json for answer in answers] == [
        {"disposition": "applied", "event_id": own},
        {"disposition": "duplicate", "event_id": own},
    ]
    assert {row["cobalt_appointment_id"]: row["status"] for row in rows(engine, "appointments")} == {
        "cobalt_1": "created",
        "cobalt_2": "failed",
    }
    [found] = listed(api)
    assert (found["event_id"], found["decided_by"]) == (own, "test")
    assert api.read("/v1/stats")["quarantined"]["count"] == 0


def test_a_person_has_it_wait_no_longer(api: Api, engine: Engine, contradicting: str) -> None:
    assert api.read("/v1/stats")["quarantined"]["count"] == 1
    answer = api.post(None, f"/v1/quarantine/{contradicting}/dismiss", scopes=("ops",))

    assert answer.status_code == 200
    assert answer.json == listed(api)[0]
    assert answer.json["dismissed_at"] is not None
    assert api.read("/v1/stats")["quarantined"]["count"] == 0
    assert [row["status"] for row in rows(engine, "appointments")] == ["created", "processing"]


def test_what_contradicts_nothing_cannot_be_taken_for_an_event(api: Api, one: str) -> None:
    assert api.post(None, f"/v1/quarantine/{one}/accept", scopes=("ops",)).status_code == 409
    assert api.post(None, f"/v1/quarantine/{one}/dismiss", scopes=("ops",)).status_code == 200
    for act in ("accept", "dismiss"):
        assert api.post(None, f"/v1/quarantine/qrn_unknown/{act}", scopes=("ops",)).status_code == 404


def test_the_timeline_of_the_known_event_says_that_its_id_came_again(
    api: Api, engine: Engine, contradicting: str
) -> None:
    one = next(row["id"] for row in rows(engine, "appointments") if row["status"] == "created")
    told = api.read(f"/v1/appointments/{one}/timeline", scopes=("read", "phi"))["data"]
    [delivery] = [entry for entry in told if entry["kind"] == "delivery"]
    assert (delivery["disposition"], delivery["event_id"], delivery["details"]["data"]) == (
        "quarantined",
        "evt_1",
        None,
    )
    assert "another body" in delivery["summary"]
    assert contradicting


def run(*arguments: str) -> str:
    """Run a command that must succeed; returns what it printed."""
    done = CliRunner().invoke(cli, ["quarantine", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.usefixtures("environment")
def test_the_command_line_lists_and_shows_content_only_when_asked_to(one: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    assert one in run("list")
    assert "987654321" not in run("list") + run("show", one)
    assert PHI.decode() in run("show", one, "--content")


@pytest.mark.usefixtures("environment")
def test_the_command_line_replays_all_that_can_be_read_now(
    api: Api, book: Book, engine: Engine, breaking_reader: Callable[[], None]
) -> None:
    book.accepted("cobalt_1")
    for number in range(3):
        send(api, webhook_body("failed", "cobalt_1", event_id=f"evt_{number}", reason=f"Reason {number}"))
    send(api, PHI)
    breaking_reader()

    first, second = run("replay", "--all"), run("replay", "--all")

    assert sorted(line.split()[1] for line in first.splitlines()) == ["applied", "applied", "applied", "quarantined"]
    assert [line.split()[1] for line in second.splitlines()] == ["quarantined"]
    assert [event["id"] for event in rows(engine, "events")] == ["evt_0", "evt_1", "evt_2"]
    [appointment] = rows(engine, "appointments")
    assert (appointment["status"], appointment["failures"]) == ("failed", 3)


@pytest.mark.usefixtures("environment")
def test_the_command_line_replays_one_twice_without_harm(
    api: Api, book: Book, breaking_reader: Callable[[], None]
) -> None:
    book.accepted("cobalt_1")
    send(api, webhook_body("created", "cobalt_1", event_id="evt_1"))
    [found] = listed(api)
    breaking_reader()

    assert run("replay", found["id"]).split() == [found["id"], "applied", "evt_1"]
    assert run("replay", found["id"]).split() == [found["id"], "duplicate", "evt_1"]


@pytest.mark.usefixtures("environment")
def test_the_command_line_refuses_nonsense() -> None:
    assert CliRunner().invoke(cli, ["quarantine", "replay"]).exit_code == 2
    assert CliRunner().invoke(cli, ["quarantine", "show", "qrn_unknown"]).exit_code == 1


@pytest.mark.usefixtures("environment")
def test_the_command_line_shows_accepts_and_dismisses(api: Api, contradicting: str) -> None:
    send(api, PHI)
    one = next(found["id"] for found in listed(api) if found["id"] != contradicting)
    assert "contradicts: evt_1" in run("show", contradicting)
    assert "said digest" not in run("show", contradicting)
    assert "said digest" in run("show", contradicting, "--content")
    assert "evt_1" in run("list")

    assert run("accept", contradicting).split() == [contradicting, "applied", f"evt_1~{contradicting}"]
    assert run("dismiss", one) == ""
    assert run("replay", "--all") == ""
