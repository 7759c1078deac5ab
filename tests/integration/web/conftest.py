"""Owns what the tests of the web process share: an application, keys, and appointments in every state, brought
there by the use cases themselves.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service import cli, cobalt
from service.domain.arrivals import Arrival, Source
from service.domain.events import read_event
from service.postgres.engine import transaction
from service.postgres.models import Base
from service.telemetry import log
from service.usecases.access.api_keys import create_key
from service.usecases.events.apply_events import apply
from service.usecases.submissions.submit import Submitter
from service.web.app import create_app
from service.web.services import services_of
from tests.conftest import fresh_database
from tests.settings import settings_from
from tests.web_client import WebClient, client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy import Engine

    from service.config import Settings
    from service.domain.states import Disposition

Answer = Any
"""A TestResponse whose JSON may be taken for granted."""

WEBHOOK_SECRET = "whsec_integration"
ALL_SCOPES = ("read", "phi", "write", "ops")
BODY = {
    "mrn": "123456789",
    "location": "Main Clinic",
    "date": "2030-01-15",
    "time": "10:00",
    "provider": "Dr. Smith",
    "type": "new_patient",
}


@pytest.fixture(scope="session")
def shared_environment(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment of processes on a database that the tests of one xdist worker share, one after the other."""
    with fresh_database(server_url, template) as url:
        yield environment_for(url, tmp_path_factory.mktemp("spool"))


def environment_for(database_url: str, spool: Path) -> dict[str, str]:
    """The environment of the service's processes."""
    return {
        "DATABASE_URL": database_url,
        "COBALT_CLIENT_ID": "ci_integration",
        "COBALT_CLIENT_SECRET": "cs_integration",
        "COBALT_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "COBALT_BASE_URL": "http://127.0.0.1:9/v1",
        "COBALT_ACCOUNT": "clinic_1",
        "COBALT_ACCESS_TOKEN": "at_integration",
        "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "SPOOL_DIR": str(spool),
    }


@pytest.fixture(scope="session")
def shared_app(shared_environment: dict[str, str]) -> Iterator[Flask]:
    """Making an application and its connections takes longer than most tests."""
    with closing_apps() as make_app:
        yield make_app(settings_from(**shared_environment))


@contextmanager
def closing_apps() -> Iterator[Callable[[Settings], Flask]]:
    """Make applications, and close their connections afterwards."""
    apps: list[Flask] = []

    def make_app(settings: Settings) -> Flask:
        apps.append(create_app(settings))
        return apps[-1]

    yield make_app
    for app in apps:
        services_of(app).close()


@pytest.fixture
def settings(shared_app: Flask) -> Settings:
    """Settings with an empty database: what earlier tests left is gone."""
    with transaction(services_of(shared_app).engine) as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))  # no triggers, which would count that
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
    found: Settings = services_of(shared_app).settings
    return found


@pytest.fixture
def environment(
    settings: Settings, shared_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of commands, set here too."""
    assert settings
    for name, value in shared_environment.items():
        monkeypatch.setenv(name, value)
    return shared_environment


@pytest.fixture
def logged(settings: Settings) -> Iterator[io.StringIO]:
    """What the service's own logging writes; this process has other tests to run, so it is put back."""
    root, ours = logging.getLogger(), logging.getLogger("service")
    before = root.handlers[:], root.level, ours.level
    log.configure(settings.log_level)
    written = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    root.handlers, level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


@pytest.fixture
def log_lines(logged: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """Returns, when called, every line that was logged so far."""
    return lambda: [json.loads(line) for line in logged.getvalue().splitlines()]


@pytest.fixture
def app(shared_app: Flask, settings: Settings, logged: io.StringIO) -> Flask:
    assert settings
    assert logged
    return shared_app


@pytest.fixture
def make_app(logged: io.StringIO) -> Iterator[Callable[[Settings], Flask]]:
    """Makes applications with settings of their own."""
    assert logged
    with closing_apps() as make_app:
        yield make_app


@pytest.fixture
def engine(app: Flask) -> Engine:
    found: Engine = services_of(app).engine
    return found


@dataclass
class Api:
    """Calls the application with a key of the scopes that a test names."""

    client: WebClient | FlaskClient
    engine: Engine
    _keys: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def app(self) -> Flask:
        return self.client.app if isinstance(self.client, WebClient) else self.client.application

    def piecewise(self) -> Api:
        """The same by Flask's own client, which reads an answer only as far as the test does."""
        return Api(self.app.test_client(), self.engine)

    def key(self, *scopes: str) -> str:
        if scopes not in self._keys:
            self._keys[scopes] = create_key(self.engine, name="test", scopes=scopes, expires_in=None)
        return self._keys[scopes]

    def call(
        self,
        method: str,
        path: str,
        *,
        scopes: tuple[str, ...] = ALL_SCOPES,
        headers: dict[str, str] | None = None,
        **rest: Any,
    ) -> Answer:
        given = {"Authorization": f"Bearer {self.key(*scopes)}"} | (headers or {})
        return self.client.open(path, method=method, headers=given, **rest)

    def get(self, path: str, **rest: Any) -> Answer:
        return self.call("GET", path, **rest)

    def post(self, body: object, path: str = "/v1/appointments", **rest: Any) -> Answer:
        return self.call("POST", path, json=body, **rest)

    def read(self, path: str, **rest: Any) -> Any:  # noqa: ANN401 (JSON)
        """The body of an answer that must be 200."""
        answer = self.get(path, **rest)
        assert answer.status_code == 200, answer.text
        return answer.json


@pytest.fixture
def api(app: Flask, engine: Engine) -> Api:
    return Api(client_of(app), engine)


class FakeCobalt:
    """Answers calls with the reply that a test has laid down for the MRN; the others never leave."""

    def __init__(self, replies: dict[str, cobalt.Reply]) -> None:
        self._replies = replies
        self.sent: list[dict[str, Any]] = []

    def create(self, _credentials: cobalt.Credentials, body: dict[str, Any]) -> cobalt.Reply:
        self.sent.append(body)
        return self._replies.get(body["mrn"], cobalt.NeverLeft("ConnectError"))


def work_once(engine: Engine, settings: Settings, replies: dict[str, cobalt.Reply] | None = None) -> FakeCobalt:
    """Make every due call, as the worker would, against a Cobalt that answers so."""
    fake = FakeCobalt(replies or {})
    client: Any = fake
    submitter = Submitter(engine, settings, client)
    submitter.run_once()
    submitter.finish()
    return fake


@dataclass
class Book:
    """Makes appointments and brings them into a state, as the web process and the worker would."""

    api: Api
    settings: Settings
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(100_000_001))

    @property
    def engine(self) -> Engine:
        return self.api.engine

    def queued(self, **changes: Any) -> dict[str, Any]:
        """One that was asked for; its MRN is its own unless the test names one."""
        answer = self.api.post(BODY | {"mrn": str(next(self._numbers))} | changes)
        assert answer.status_code == 202, answer.text
        shown: dict[str, Any] = answer.json
        return shown

    def answered(self, reply: cobalt.Reply, /, **asked: Any) -> str:
        """One whose call to Cobalt was answered so; returns our id."""
        row = self.queued(**asked)
        work_once(self.engine, self.settings, {row["request"]["mrn"]: reply})
        appointment_id: str = row["id"]
        return appointment_id

    def accepted(self, cobalt_id: str | None = None, /, **asked: Any) -> str:
        cobalt_id = cobalt_id or f"cobalt_{next(self._numbers)}"
        return self.answered(cobalt.Accepted(cobalt_id, None, datetime.now(UTC)), **asked)

    def created(self, **asked: Any) -> str:
        cobalt_id = f"cobalt_{next(self._numbers)}"
        appointment_id = self.accepted(cobalt_id, **asked)
        self.tell("created", cobalt_id, mrn=asked.get("mrn", "123456789"))
        return appointment_id

    def failed(self, words: str = "Some words", details: dict[str, Any] | None = None, /, **asked: Any) -> str:
        cobalt_id = f"cobalt_{next(self._numbers)}"
        appointment_id = self.accepted(cobalt_id, **asked)
        self.tell("failed", cobalt_id, reason=words, **({"mrn": asked.get("mrn", "123456789")} | (details or {})))
        return appointment_id

    def tell(self, kind: str, cobalt_id: str, /, *, event_id: str | None = None, **data: Any) -> Disposition:
        """Have an event arrive through the one door."""
        raw = webhook_body(kind, cobalt_id, event_id=event_id or f"evt_{next(self._numbers)}", **data)
        now = datetime.now(UTC)
        arrival = Arrival(read_event(raw, received_at=now), Source.WEBHOOK, now, "req_of_the_webhook")
        return apply(self.engine, [arrival])[0]


def webhook_body(kind: str, cobalt_id: str, *, event_id: str, reason: str = "Some words", **data: Any) -> bytes:
    """The bytes of an event in the shape of Cobalt's documentation."""
    said: dict[str, Any] = {"failure_reason": reason}
    if kind == "created":
        said = {
            "date_time": "2030-01-15T10:00",
            "timezone": "America/New_York",
            "provider_id": "emr_prov_123",
            "provider_name": "Dr. Smith",
            "secondary_provider_id": None,
        }
    event = {
        "id": event_id,
        "access_token_reference_id": "clinic_1",
        "object": "event",
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "type": f"appointment.{kind}",
        "data": {"appointment_id": cobalt_id, "mrn": "123456789"} | said | data,
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture
def book(api: Api, settings: Settings) -> Book:
    return Book(api, settings)


@dataclass
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Terminal(io.TextIOWrapper):
    """Standard input at which a person types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Runs the command line in this process, as ``cobalt-appointments`` does."""
    assert environment

    def run(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> Ran:
        monkeypatch.setattr(sys, "argv", ["cobalt-appointments", *arguments])
        monkeypatch.setattr(sys, "stdin", (Terminal if terminal else io.TextIOWrapper)(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        said = capsys.readouterr()
        if isinstance(code, str):  # what sys.exit would print
            return Ran(1, said.out, f"{said.err}{code}\n")
        return Ran(int(code or 0), said.out, said.err)

    return run
