"""What is past its time is removed; what waits, what is known to have come, and what others hold stays."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from service import cobalt
from service.cli import cli
from service.cobalt.signing import sign
from service.domain.arrivals import Arrival, Source
from service.domain.events import read_event
from service.postgres.engine import transaction
from service.postgres.models import Base
from service.postgres.queries.decisions import Person
from service.postgres.queries.retention import KINDS, Limits
from service.usecases.events.apply_events import apply
from service.usecases.submissions.adopt import abandon_by_hand
from service.usecases.upkeep.retention import count_due, remove_due
from tests.fake_cobalt import FakeCobalt, work
from tests.integration.web.conftest import BODY, WEBHOOK_SECRET, webhook_body
from tests.records import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from service.config import Settings
    from tests.integration.web.conftest import Api, Book

KEEP, KEEP_PAYLOADS = timedelta(days=400), timedelta(days=90)
OLD, OLDER = timedelta(days=100), timedelta(days=500)
NOTE = "weeping willow"
TIMES = {
    "appointments": "created_at settled_at requested_at updated_at sent_at accepted_at",
    "events": "received_at",
    "deliveries": "received_at",
    "submissions": "began_at ended_at",
    "corrections": "at",
    "decisions": "at",
    "quarantine": "received_at replayed_at",
}


def limits() -> Limits:
    now = datetime.now(UTC)
    return Limits(now - KEEP, now - KEEP_PAYLOADS)


def run(engine: Engine, **rest: Any) -> dict[str, int]:
    return remove_due(engine, limits(), **rest)


def age(engine: Engine, by: timedelta) -> None:
    """Have everything that is there be so much older."""
    with transaction(engine) as session:
        for table, columns in TIMES.items():
            changes = ", ".join(f"{column} = {column} - :by" for column in columns.split())
            session.execute(text(f"UPDATE {table} SET {changes}"), {"by": by})  # noqa: S608 (constants)


def deliver(api: Api, raw: bytes) -> str:
    answer = api.client.post("/webhooks/cobalt", data=raw, headers={"cobalt-verification": sign(raw, WEBHOOK_SECRET)})
    assert answer.json is not None
    disposition: str = answer.json["disposition"]
    return disposition


def everything(engine: Engine) -> str:
    """All that the database holds, but for the record of who read what."""
    found = {table: rows(engine, table) for table in Base.metadata.tables if table != "phi_reads"}
    return json.dumps(found, default=str)


class History:
    """Appointments and events of every kind, with the MRNs and notes of a patient in every place."""

    def __init__(self, book: Book, settings: Settings, mrn: str) -> None:
        self.api = book.api
        self.mrn = mrn
        self.said: list[bytes] = []
        asked = {"mrn": mrn, "note": NOTE, "reason": NOTE}
        self.settled = [self._told(book, kind, f"{mrn}-{kind}", **asked) for kind in ("created", "failed")]
        corrected = self._told(book, "failed", f"{mrn}-corrected", **asked)
        path = f"/v1/appointments/{corrected}"
        assert self.api.call("PATCH", path, json={"note": f"{NOTE} 2"}).status_code == 202
        work(book.engine, settings, FakeCobalt())
        self._tell("created", f"{mrn}-corrected", event_id=f"evt-{mrn}-again")
        refused = cobalt.Rejected(400, f"{mrn} is unknown", datetime.now(UTC))
        abandoned = book.accepted(f"{mrn}-abandoned", **asked)
        abandon_by_hand(book.engine, abandoned, person=Person("alice", f"{NOTE} {mrn}"))
        self.settled += [corrected, book.answered(refused, **asked), abandoned]
        self._tell("updated", f"{mrn}-created", event_id=f"evt-{mrn}-ignored")
        self._tell("created", f"{mrn}-nobodys", event_id=f"evt-{mrn}-nobodys")
        self.unreadable = f'{{"id": 7, "mrn": "{mrn}"'.encode()
        self._quarantine(book.engine)

    def _told(self, book: Book, kind: str, cobalt_id: str, **asked: Any) -> str:
        one = book.accepted(cobalt_id, **asked)
        self._tell(kind, cobalt_id, event_id=f"evt-{cobalt_id}")
        assert deliver(self.api, self.said[-1]) == "duplicate"
        return one

    def _tell(self, kind: str, cobalt_id: str, event_id: str) -> None:
        more = {"visit_note": NOTE} if kind == "created" else {"reason": f"{self.mrn} said"}
        self.said.append(webhook_body(kind, cobalt_id, event_id=event_id, mrn=self.mrn, **more))
        deliver(self.api, self.said[-1])

    def _quarantine(self, engine: Engine) -> None:
        """One that was read later; as if by a reader that could not then."""
        assert deliver(self.api, self.unreadable) == "quarantined"
        with transaction(engine) as session:
            session.execute(
                text("UPDATE quarantine SET replayed_at = now(), event_id = :id WHERE raw = :raw"),
                {"id": f"evt-{self.mrn}-created", "raw": self.unreadable},
            )


@pytest.fixture
def older(book: Book, settings: Settings) -> History:
    """A history from before everything is kept, and then one from before payloads are kept, and a fresh one."""
    history = History(book, settings, "QX774100")
    age(book.engine, OLDER - OLD)
    History(book, settings, "ZZ335577")
    age(book.engine, OLD)
    History(book, settings, "YY991122")
    return history


def statuses(api: Api, ids: list[str]) -> set[int]:
    return {api.get(f"/v1/appointments/{one}").status_code for one in ids}


def test_what_is_past_its_time_is_gone_and_the_rest_is_as_it_was(
    api: Api, engine: Engine, older: History, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    fresh = [row["id"] for row in api.read("/v1/appointments")["data"][:5]]
    before = [api.read(f"/v1/appointments/{one}") for one in fresh]
    removed = run(engine)
    assert statuses(api, older.settled) == {404}
    assert [api.read(f"/v1/appointments/{one}") for one in fresh] == before
    assert removed == {
        "contents of events": 10,
        "events that nobody here asked for": 1,
        "contents of quarantined records": 2,
        "appointments' free texts": 10,
        "deliveries of events without an appointment": 2,
        "quarantined records": 1,
        "appointments": 5,
    }
    assert run(engine) == dict.fromkeys(removed, 0)
    assert [line["counts"] for line in log_lines() if line["event"] == "retention ran"] == [
        removed, dict.fromkeys(removed, 0),
    ]  # fmt: skip


def test_nothing_of_a_patient_is_left_of_what_was_removed(api: Api, engine: Engine, older: History) -> None:
    run(engine)
    left = everything(engine)
    ids = {row["id"] for row in rows(engine, "events")} | {
        row["cobalt_appointment_id"] for row in rows(engine, "events")
    }
    for known in sorted((one for one in ids if one), key=len, reverse=True):
        left = left.replace(known, "")  # ids stay, and have the MRN in them only here
    assert older.mrn not in left
    middle = [row for row in rows(engine, "appointments") if row["mrn"] == "ZZ335577"]
    assert len(middle) == 5
    assert NOTE not in json.dumps([row["request"] for row in middle])
    timelines = [api.get(f"/v1/appointments/{row['id']}/timeline").text for row in middle]
    assert not [told for told in timelines if NOTE in told]
    assert sum('"kind":"correction"' in told.replace(" ", "") for told in timelines) == 1


def test_a_dry_run_counts_what_the_run_then_removes_and_removes_nothing(engine: Engine, older: History) -> None:
    assert older.settled
    before = everything(engine)
    counted = count_due(engine, limits())
    assert everything(engine) == before
    assert run(engine, batch=3) == counted
    assert all(counted.values())
    assert count_due(engine, limits()) == dict.fromkeys(counted, 0)


@pytest.mark.parametrize("keep", [timedelta(days=95), timedelta(days=450)])
def test_a_dry_run_is_right_for_every_time(engine: Engine, older: History, keep: timedelta) -> None:
    assert older.settled
    for keep_payloads in (keep, keep / 2, timedelta(hours=1)):
        now = datetime.now(UTC)
        some = Limits(now - keep, now - keep_payloads)
        counted = count_due(engine, some)
        assert remove_due(engine, some) == counted


def test_whatever_comes_again_after_it_was_removed_is_still_a_duplicate(
    api: Api, engine: Engine, older: History
) -> None:
    run(engine)
    appointments = rows(engine, "appointments")
    assert [deliver(api, raw) for raw in older.said] == ["duplicate"] * len(older.said)
    assert rows(engine, "appointments") == appointments


def test_a_replayed_record_whose_content_is_gone_cannot_be_replayed_again(
    api: Api, engine: Engine, older: History
) -> None:
    assert older.settled
    run(engine)
    records = api.read("/v1/quarantine", scopes=("ops",))["data"]
    assert [record["size"] > 0 for record in records] == [True, False]
    path = f"/v1/quarantine/{records[1]['id']}/replay"
    answer = api.post(None, path, scopes=("ops",))
    assert answer.status_code == 409
    assert rows(engine, "quarantine")[0]["event_id"]


def test_what_processes_or_waits_stays_however_old_it_is(
    api: Api, book: Book, engine: Engine, settings: Settings
) -> None:
    lost = cobalt.Unclear("ReadTimeout")
    book.queued(mrn="55556666", note=NOTE)
    book.accepted("cobalt_1", mrn="77778888", note=NOTE)
    book.answered(lost, mrn="3333\u00a04444", note=NOTE)  # and what may be its event waits for it:
    deliver(api, webhook_body("created", "cobalt_2", event_id="evt_2", mrn="3333  4444"))
    corrected = book.failed(mrn="11112222", note=NOTE)
    assert api.call("PATCH", f"/v1/appointments/{corrected}", json={"type": "other"}).status_code == 202
    deliver(api, b"no replay could read this yet")
    age(engine, OLDER)
    before = everything(engine)

    counted = count_due(engine, limits())

    assert run(engine) == counted == dict.fromkeys(counted, 0)
    assert everything(engine) == before
    with transaction(engine) as session:
        session.execute(text("UPDATE appointments SET due_at = now()"))
    assert work(engine, settings, FakeCobalt())["claimed"] == 2


def test_an_old_appointment_of_which_cobalt_spoke_lately_stays(api: Api, book: Book, engine: Engine) -> None:
    one = book.accepted("cobalt_1", mrn="11112222")
    deliver(api, webhook_body("created", "cobalt_1", event_id="evt_1"))
    age(engine, OLDER)
    deliver(api, webhook_body("failed", "cobalt_1", event_id="evt_2"))
    removed = run(engine)
    assert (removed["appointments"], removed["contents of events"]) == (0, 1)
    assert api.read(f"/v1/appointments/{one}")["conflicts"] == 1


def test_an_event_for_an_id_that_was_given_up_is_new_when_it_is_another(api: Api, engine: Engine, book: Book) -> None:
    deliver(api, webhook_body("created", "cobalt_1", event_id="evt_1"))
    age(engine, OLDER)
    assert run(engine)["events that nobody here asked for"] == 1
    assert deliver(api, webhook_body("created", "cobalt_1", event_id="evt_1")) == "duplicate"
    assert deliver(api, webhook_body("created", "cobalt_1", event_id="evt_2")) == "unmatched"
    one = book.accepted("cobalt_1")  # whose emptied event must break nobody's matching
    assert api.read(f"/v1/appointments/{one}")["status"] == "created"


# Beside everything else.


class StoppedError(Exception):
    """Somebody pulled the plug."""


def test_an_interrupted_run_goes_on_where_it_was(engine: Engine, older: History) -> None:
    assert older.settled
    counted = count_due(engine, limits())
    removed = dict.fromkeys(counted, 0)
    stops = 0

    def stop(kind: str, count: int) -> None:
        removed[kind] += count
        raise StoppedError

    while any(count_due(engine, limits()).values()):
        with pytest.raises(StoppedError):
            run(engine, batch=2, on_progress=stop)
        stops += 1
    assert stops > len(KINDS)
    assert removed == counted


def test_what_somebody_holds_is_left_for_another_time_and_nobody_waits(engine: Engine, older: History) -> None:
    counted = count_due(engine, limits())
    with transaction(engine) as session:
        session.execute(text("SELECT FROM appointments WHERE id = :id FOR NO KEY UPDATE"), {"id": older.settled[0]})
        session.execute(text("SELECT FROM events WHERE id = 'evt-QX774100-failed' FOR UPDATE"))
        removed = run(engine, batch=1)
    assert removed["contents of events"] == counted["contents of events"] - 1
    assert removed["appointments"] == counted["appointments"] - 2
    rest = run(engine)
    assert {kind: removed[kind] + rest[kind] for kind in counted} == counted


def test_a_run_beside_webhooks_and_corrections_loses_and_doubles_nothing(
    api: Api, book: Book, engine: Engine, settings: Settings
) -> None:
    """Late words of Cobalt's about what is just being removed come in all the while."""
    cobalt_ids = [f"cobalt_{number}" for number in range(20)]
    for cobalt_id in cobalt_ids:
        one = book.queued(mrn="11112222", note=NOTE)["id"]
        fake = FakeCobalt()
        fake.replies.append(cobalt.Accepted(cobalt_id, None, datetime.now(UTC)))
        work(engine, settings, fake)
        assert api.read(f"/v1/appointments/{one}")["cobalt_appointment_id"] == cobalt_id
        deliver(api, webhook_body("failed", cobalt_id, event_id=f"evt_{cobalt_id}"))
    age(engine, OLDER)
    began = threading.Barrier(2)

    def speak(number: int) -> str:
        if number == 0:
            began.wait(10)
        raw = webhook_body("created", cobalt_ids[number % 20], event_id=f"late_{number}")
        now = datetime.now(UTC)
        return str(apply(engine, [Arrival(read_event(raw, received_at=now), Source.WEBHOOK, now)])[0])

    with ThreadPoolExecutor(4) as pool:
        late = [pool.submit(speak, number) for number in range(40)]
        began.wait(10)
        run(engine, batch=1)
        answers = [one.result() for one in late]
    left = {row["cobalt_appointment_id"]: row["status"] for row in rows(engine, "appointments")}
    events = {row["id"]: row for row in rows(engine, "events")}
    assert len(events) == 60
    assert set(answers) <= {"applied", "superseded", "unmatched"}
    assert set(left.values()) <= {"created"}  # who was spoken of stays, and is right
    for number in range(40):
        event = events[f"late_{number}"]
        assert (event["appointment_id"] is None) == (cobalt_ids[number % 20] not in left)
        assert (event["disposition"] == "unmatched") == (event["appointment_id"] is None)


# The command.


@pytest.fixture
def command(environment: dict[str, str]) -> Iterator[Callable[..., Any]]:
    assert environment

    def run_command(*arguments: str) -> Any:  # noqa: ANN401 (click's Result)
        return CliRunner().invoke(cli, ["retention", *arguments])

    return run_command  # type: ignore[return-value]


def test_the_command_tells_what_it_would_remove_and_what_it_removed(
    api: Api, engine: Engine, older: History, command: Callable[..., Any]
) -> None:
    assert older.settled
    deliver(api, b"no replay could read this yet")
    with transaction(engine) as session:
        session.execute(text("UPDATE quarantine SET received_at = now() - interval '1 year' WHERE replayed_at IS NULL"))
    modes: list[tuple[str, ...]] = [("--dry-run",), (), ("--dry-run",), ("--dry-run", "--json")]
    told = [command("--keep", "400d", "--keep-payloads", "90d", *mode) for mode in modes]
    assert [one.exit_code for one in told] == [0, 0, 0, 0]
    numbers = [[line.rpartition("\t")[2] for line in one.stdout.splitlines()] for one in told]
    assert numbers[0] == numbers[1] == ["10", "1", "2", "10", "2", "1", "5"]
    assert set(numbers[2]) == {"0"}
    assert "would_be_removed" in told[3].stdout
    assert all("1 quarantined records were kept" in one.stderr for one in told)


@pytest.mark.parametrize(
    "arguments", [(), ("--keep", "0d"), ("--keep", "400"), ("--keep", "90d", "--keep-payloads", "400d")]
)
def test_the_command_refuses_what_makes_no_sense(command: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    assert command(*arguments).exit_code == 2


def test_kept_appointments_can_be_corrected_after_their_notes_are_gone(
    api: Api, book: Book, engine: Engine, settings: Settings
) -> None:
    one = book.failed(mrn="11112222", note=NOTE)
    age(engine, OLD)
    assert run(engine)["appointments' free texts"] == 1
    shown = api.read(f"/v1/appointments/{one}")
    assert (shown["request"]["note"], shown["request"]["type"]) == (None, BODY["type"])
    assert api.call("PATCH", f"/v1/appointments/{one}", json={"mrn": "55556666"}).status_code == 202
    fake = FakeCobalt()
    work(engine, settings, fake)
    assert [call.body for call in fake.sent] == [{"mrn": "55556666"}]
