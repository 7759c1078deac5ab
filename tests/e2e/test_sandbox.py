"""The sandbox as a process, over HTTP, as the service meets it."""

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

SECRET = "whsec_test"
CALLER = {"client_id": "ci", "client_secret": "cs", "access_token": "token_1"}
OPTIONS = ("--port", "0", "--client-id", "ci", "--delay", "0.02", "--seed", "tests")
SECRETS = {
    "SANDBOX_CLIENT_SECRET": "cs",
    "SANDBOX_WEBHOOK_SECRET": SECRET,
    "SANDBOX_ACCOUNT": "clinic_1=token_1 clinic_2=token_2",
}
ASKED = {
    "mrn": "123456789",
    "location": "1",
    "date": "2025-01-01",
    "time": "10:00",
    "provider": "Dr. Smith",
    "type": "new_patient",
}


@dataclass
class Arrival:
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


class Receiver:
    """Where webhooks go; answers with the statuses in `answers`, then with 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.arrivals: list[Arrival] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): text for name, text in self.headers.items()}
                status = receiver.answers.pop(0) if receiver.answers else 200
                with receiver._changed:
                    receiver.arrivals.append(Arrival(headers, body))
                    receiver._changed.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/cobalt"
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def wait_for(self, count: int) -> list[Arrival]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrivals) >= count, timeout=10)
            return list(self.arrivals)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Sandbox:
    process: subprocess.Popen[str]
    http: httpx.Client
    stderr: Any
    headers: dict[str, str] = field(default_factory=lambda: dict(CALLER))

    def create(self, **asked: str) -> httpx.Response:
        content = json.dumps({**ASKED, **asked})
        return self.http.post("/v1/appointments", content=content, headers=self.headers)

    def create_id(self, **asked: str) -> str:
        created: str = self.create(**asked).raise_for_status().json()["data"]["appointment_id"]
        return created

    def patch(self, appointment_id: str, **changes: str) -> httpx.Response:
        return self.http.patch(f"/v1/appointments/{appointment_id}", json=changes, headers=self.headers)

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - JSON
        return self.http.get(path, params=params, headers=self.headers).raise_for_status().json()

    def faults(self, **rates: float) -> None:
        self.http.put("/_sandbox/faults", json=rates).raise_for_status()

    def settle(self) -> None:
        """Wait until nothing is on its way."""
        until(lambda: self.pending() == 0)

    def pending(self) -> int:
        stats = self.get("/_sandbox/stats")
        return int(stats["pending_appointments"] + stats["pending_webhooks"])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


@contextmanager
def running(*options: str, secrets: Mapping[str, str] = SECRETS) -> Iterator[Sandbox]:
    command = [sys.executable, "-m", "service.lab.sandbox", *OPTIONS, *options]
    with (
        tempfile.TemporaryFile("w+") as stderr,
        subprocess.Popen(  # noqa: S603 - ourselves
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **secrets}
        ) as process,
    ):
        try:
            assert process.stdout
            line = process.stdout.readline().strip()
            base, found, _ = line.removeprefix("sandbox listening on ").partition("/v1")
            assert found, line
            with httpx.Client(base_url=base, timeout=10) as http:
                yield Sandbox(process, http, stderr)
        finally:
            process.terminate()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: Sandbox, receiver: Receiver) -> Iterator[Sandbox]:
    """The shared sandbox, sending to this test's receiver alone and with no faults."""
    shared.http.post("/v1/webhook", json={"webhook_url": receiver.url}, headers=CALLER).raise_for_status()
    yield shared
    shared.faults(**dict.fromkeys(set(shared.get("/_sandbox/faults")) - {"delay"}, 0.0))
    shared.settle()
    for known in shared.get("/v1/webhook")["webhook_urls"]:
        shared.http.delete(f"/v1/webhook/{known['id']}", headers=CALLER).raise_for_status()


def test_a_create_is_answered_and_then_confirmed_as_in_the_seed(sandbox: Sandbox, receiver: Receiver) -> None:
    answer = sandbox.create(secondary_provider="123456789", note="Zoë 🩺")
    made = answer.json()["data"]["appointment_id"]
    message = "Appointment processing. A webhook event will be sent upon completion."
    assert answer.json() == {"success": True, "data": {"appointment_id": made, "message": message}}
    assert abs(parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()) < 5

    event = receiver.wait_for(1)[0].event
    assert list(event) == ["id", "access_token_reference_id", "object", "created", "type", "data"]
    assert event["type"] == "appointment.created"
    assert event["access_token_reference_id"] == "clinic_1"
    provider_id = event["data"].pop("provider_id")
    assert provider_id.startswith("emr_prov_")
    assert event["data"] == {
        "appointment_id": made,
        "date_time": "2025-01-01T10:00",
        "timezone": "America/New_York",
        "secondary_provider_id": "123456789",
        "provider_name": "Dr. Smith",
        "mrn": "123456789",
    }


def test_a_webhook_is_signed_over_its_bytes_and_says_which_event_and_attempt_it_is(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.create(type="Annual Wellness Visit", mrn="Zoë\ud83d")  # half of a pair
    arrival = receiver.wait_for(1)[0]
    expected = hmac.new(SECRET.encode(), arrival.body, hashlib.sha256).hexdigest()
    assert arrival.headers["cobalt-verification"] == expected
    assert '"mrn":"Zoë\\ud83d"'.encode() in arrival.body
    assert arrival.headers["webhook-id"] == arrival.event["id"]
    assert arrival.headers["webhook-timestamp"] == arrival.event["created"]
    assert arrival.headers["webhook-attempt"] == "1"


@pytest.mark.parametrize("wrong", list(CALLER))
def test_a_call_with_a_missing_or_wrong_key_gets_401(sandbox: Sandbox, wrong: str) -> None:
    without = {name: text for name, text in CALLER.items() if name != wrong}
    for headers in (without, {**CALLER, wrong: "other"}):
        answer = sandbox.http.post("/v1/appointments", json=ASKED, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["success"] is False


def test_a_refused_create_says_why_and_books_nothing(sandbox: Sandbox) -> None:
    before = sandbox.get("/_sandbox/stats")["booked"]
    for content in (b"{}", b"[]", b"not json", b"\xff", b"[" * 100_000):
        answer = sandbox.http.post("/v1/appointments", content=content, headers=CALLER)
        assert answer.status_code == 400
        assert set(answer.json()) == {"success", "message"}
    assert sandbox.get("/_sandbox/stats")["booked"] == before


def test_a_failed_appointment_is_tried_again_after_a_correction(sandbox: Sandbox, receiver: Receiver) -> None:
    made = sandbox.create_id(mrn="000000")
    assert receiver.wait_for(1)[0].event["type"] == "appointment.failed"
    assert sandbox.patch(made, mrn="42").json()["success"] is True
    event = receiver.wait_for(2)[1].event
    assert (event["type"], event["data"]["mrn"]) == ("appointment.created", "42")


def test_of_a_scheduled_appointment_only_status_and_note_can_change(sandbox: Sandbox, receiver: Receiver) -> None:
    made = sandbox.create_id(mrn="scheduled")
    receiver.wait_for(1)
    assert sandbox.patch(made, mrn="42").status_code == 400
    assert sandbox.patch(made, status="cancelled", note="late").status_code == 200
    listed = sandbox.get("/v1/appointments", start_date="2025-01-01", end_date="2025-01-01", patient_mrn="scheduled")
    assert [one["status"] for one in listed["appointments"]] == ["cancelled"]


def test_an_appointment_of_another_account_is_unknown(sandbox: Sandbox) -> None:
    made = sandbox.create_id()
    headers = {**CALLER, "access_token": "token_2"}
    answer = sandbox.http.patch(f"/v1/appointments/{made}", json={"mrn": "1"}, headers=headers)
    assert answer.status_code == 404
    assert sandbox.patch("0", mrn="1").status_code == 404


def test_the_list_shows_what_is_in_the_calendar_of_the_account_on_these_days(sandbox: Sandbox) -> None:
    made = sandbox.create_id(mrn="listed", date="2031-05-05", time="11:30 pm")
    sandbox.create_id(mrn="listed", date="2031-05-07")
    sandbox.create_id(mrn="000000", date="2031-05-05")
    sandbox.settle()
    days = {"start_date": "2031-05-05", "end_date": "2031-05-06"}
    [entry] = sandbox.get("/v1/appointments", **days)["appointments"]
    assert (entry["id"], entry["datetime"]) == (made, "2031-05-06T03:30:00.000Z")
    assert entry["object_metadata"] == {"source": "cobalt_operation"}
    other = {**CALLER, "access_token": "token_2"}
    assert sandbox.http.get("/v1/appointments", params=days, headers=other).json()["appointments"] == []


def test_a_lost_webhook_is_never_sent_but_can_be_asked_for(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.faults(lose_webhook=1, delay=0.2)
    made = sandbox.create_id(mrn="000000")
    booked = next(one for one in sandbox.get("/_sandbox/appointments")["appointments"] if one["id"] == made)
    assert sandbox.get("/v1/webhook-events", job_id=str(booked["job_id"]))["webhook_events"] == []
    sandbox.settle()
    [event] = sandbox.get("/v1/webhook-events", job_id=str(booked["job_id"]))["webhook_events"]
    assert (event["event_type"], event["data"]["appointment_id"]) == ("appointment.failed", made)
    assert event["delivery_status"] == "failed"
    assert receiver.arrivals == []

    sandbox.http.post("/_sandbox/redeliver", json={"event_ids": [event["event_id"]]}).raise_for_status()
    assert receiver.wait_for(1)[0].event["id"] == event["event_id"]
    sandbox.faults(delay=0.02)


def test_a_webhook_is_tried_once_more_after_a_server_error_and_never_after_another_refusal(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.answers = [503, 503]
    sandbox.create_id()
    first, second = receiver.wait_for(2)
    assert first.body == second.body
    assert [one.headers["webhook-attempt"] for one in (first, second)] == ["1", "2"]
    receiver.answers = [400]
    sandbox.create_id()
    sandbox.settle()
    tries = [one for one in sandbox.get("/_sandbox/deliveries")["deliveries"] if one["url"] == receiver.url]
    assert [(one["attempt"], one["status"]) for one in tries] == [(1, 503), (2, 503), (1, 400)]


def test_every_registered_url_gets_every_event_under_the_one_secret(sandbox: Sandbox, receiver: Receiver) -> None:
    other = Receiver()
    answer = sandbox.http.post("/v1/webhook", json={"webhook_url": other.url}, headers=CALLER).json()
    assert answer["webhook_secret_key"] == SECRET
    sandbox.create_id()
    assert receiver.wait_for(1)[0].headers == {
        **other.wait_for(1)[0].headers,
        "host": receiver.arrivals[0].headers["host"],
    }
    sandbox.settle()
    other.close()


def test_a_webhook_can_come_before_the_reply(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.faults(webhook_before_reply=1)
    made = sandbox.create_id()
    assert [one.event["data"]["appointment_id"] for one in receiver.arrivals] == [made]


def test_an_event_can_come_twice_and_out_of_order(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.faults(duplicate_webhook=1, reorder_webhook=1)
    held = sandbox.create_id()
    until(lambda: sandbox.get("/_sandbox/stats")["webhooks_reordered"] == 1)
    sandbox.faults(duplicate_webhook=0, reorder_webhook=0)
    prompt = sandbox.create_id()
    arrived = [one.event["data"]["appointment_id"] for one in receiver.wait_for(3)]
    assert arrived == [prompt, held, held]
    assert receiver.arrivals[1].body == receiver.arrivals[2].body


def test_a_lost_reply_leaves_the_appointment_booked(sandbox: Sandbox) -> None:
    sandbox.faults(lose_reply=1)
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.create(mrn="lost-reply")
    booked = [one["request"]["mrn"] for one in sandbox.get("/_sandbox/appointments")["appointments"]]
    assert booked.count("lost-reply") == 1


def test_a_429_books_nothing_and_half_of_the_500s_do(sandbox: Sandbox) -> None:
    before = sandbox.get("/_sandbox/stats")["booked"]
    sandbox.faults(error_429=1)
    answer = sandbox.create()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert sandbox.get("/_sandbox/stats")["booked"] == before
    sandbox.faults(error_429=0, error_500=1)
    assert {sandbox.create().status_code for _ in range(40)} == {500}
    assert 10 < sandbox.get("/_sandbox/stats")["booked"] - before < 30


def test_the_list_of_events_can_be_down_while_all_else_works(sandbox: Sandbox) -> None:
    sandbox.create_id()
    before = sandbox.get("/_sandbox/stats")
    sandbox.faults(events_unavailable=1)
    assert sandbox.http.get("/v1/webhook-events", headers=sandbox.headers).status_code == 503
    sandbox.faults(events_unavailable=0)
    assert sandbox.http.get("/v1/webhook-events?page=2", headers=sandbox.headers).status_code == 200
    assert sandbox.http.get("/v1/webhook-events?job_id=1", headers=sandbox.headers).status_code == 200
    after = sandbox.get("/_sandbox/stats")
    names = ("event_queries", "event_pages", "event_walks", "events_refused")
    assert [after[name] - before[name] for name in names] == [3, 2, 1, 1]


def test_staff_make_appointments_that_nobody_submitted(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.faults(foreign_events=1)
    made = sandbox.create_id()
    ids = {one.event["data"]["appointment_id"] for one in receiver.wait_for(2)}
    assert made in ids
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("shape", "keys", "data"),
    [
        ("message-beside", ["success", "message", "data"], ["appointment_id"]),
        ("top-level", ["success", "message", "appointment_id", "job_id"], None),
        ("under-data", ["success", "message", "data"], ["appointment_id", "job_id"]),
    ],
)
def test_the_later_shapes_are_a_matter_of_options(
    receiver: Receiver, shape: str, keys: list[str], data: list[str] | None
) -> None:
    options = ("--webhook-shape", "later", "--event-clock", "milliseconds", "--strict-time")
    with running("--reply-shape", shape, *options, "--webhook-url", receiver.url) as sandbox:
        assert sandbox.create().status_code == 400
        answer = sandbox.create(time="10:00 am").json()
        assert list(answer) == keys
        assert data is None or list(answer["data"]) == data
        event = receiver.wait_for(1)[0].event
        assert event["job_id"] == "1"
        assert event["data"]["date_time"] == "2025-01-01T15:00:00.000Z"
        assert len(event["created"]) == len("2025-10-21T14:30:00.000Z")


def test_it_ends_promptly_and_says_nothing_about_patients_or_secrets() -> None:
    with running() as sandbox:
        sandbox.create_id(mrn="secret-mrn", note="secret-note")
        sandbox.settle()
        began = time.monotonic()
        sandbox.process.send_signal(signal.SIGTERM)
        assert sandbox.process.wait(timeout=5) == 0
        assert time.monotonic() - began < 3
        assert sandbox.process.stdout
        sandbox.stderr.seek(0)
        said = (sandbox.process.stdout.read() + sandbox.stderr.read()).splitlines()
        # gunicorn says so where a busy machine gave the worker less than its second of grace.
        assert [line for line in said if not line.endswith("was sent SIGKILL! Perhaps out of memory?")] == []


def test_a_taken_port_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "service.lab.sandbox"],
            env={**os.environ, "SANDBOX_PORT": port},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [f"sandbox: cannot listen on 127.0.0.1:{port}: the port is taken"]


def test_secrets_are_read_from_files_and_never_from_the_command_line(tmp_path: Path) -> None:
    contents = {"client": "cs_file\n", "webhook": "whsec_file\n", "accounts": "a=token_a\nb=token_b\n"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    files = (
        *("--client-secret-file", str(tmp_path / "client"), "--webhook-secret-file", str(tmp_path / "webhook")),
        *("--accounts-file", str(tmp_path / "accounts")),
    )
    with running(*files, secrets={}) as sandbox:
        known = {"client_id": "ci", "client_secret": "cs_file"}
        for token in ("token_a", "token_b"):
            asked = sandbox.http.post("/v1/appointments", json=ASKED, headers=known | {"access_token": token})
            assert asked.status_code == 200
        asked = sandbox.http.post("/v1/appointments", json=ASKED, headers=CALLER)
        assert asked.status_code == 401

    for option in ("--client-secret=canary", "--webhook-secret=canary", "--account=clinic_1=canary"):
        ran = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "service.lab.sandbox", option],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert ran.returncode == 2
        assert "canary" not in ran.stderr
        assert "-file" in ran.stderr
