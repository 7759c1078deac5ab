"""A client that openapi-python-client makes from the document drives every operation of the running service."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import subprocess
import sys
import sysconfig
from datetime import UTC, date, datetime, timedelta, timezone
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.cobalt.signing import HEADER, sign
from tests.records import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

PACKAGE = "generated_client"
EASTERN = timezone(timedelta(hours=-5))


class Generated:
    """The generated package, and a client of the stack made with it.

    Attributes:
        called: The operations that were called, as the generator names them.
    """

    def __init__(self, stack: Stack) -> None:
        self.models: Any = importlib.import_module(f"{PACKAGE}.models")
        package = importlib.import_module(f"{PACKAGE}.api")
        found = [one.name for one in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.api.") if not one.ispkg]
        self.operations: dict[str, Any] = {name.rpartition(".")[2]: importlib.import_module(name) for name in found}
        self.called: set[str] = set()
        made: Any = importlib.import_module(PACKAGE)
        self.client = made.AuthenticatedClient(
            stack.url,
            stack.api_key,
            raise_on_unexpected_status=True,
            httpx_args={"trust_env": False, "event_hooks": {"request": [lambda one: signed(one, stack)]}},
        )

    def call(self, name: str, *arguments: Any, expect: HTTPStatus = HTTPStatus.OK, **rest: Any) -> Any:  # noqa: ANN401
        """Call an operation; what it answers must reach the caller whole."""
        answer = self.operations[name].sync_detailed(*arguments, client=self.client, **rest)
        assert answer.status_code == expect, answer.content
        if hasattr(answer.parsed, "to_dict"):
            assert plain(answer.parsed.to_dict()) == plain(json.loads(answer.content)), name
        self.called.add(name)
        return answer

    def status(self, appointment_id: str) -> Any:  # noqa: ANN401 (an enumeration that is generated)
        return self.call("get_appointment", appointment_id).parsed.status


def signed(request: httpx.Request, stack: Stack) -> None:
    """Do what no generator can: sign a webhook."""
    if request.url.path == "/webhooks/cobalt":
        request.headers[HEADER] = sign(request.content, stack.webhook_secret)


def plain(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Make the same of all texts that are the same time."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value):
        return datetime.fromisoformat(value)
    return value


@pytest.fixture(scope="module")
def document(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{stack.url}/openapi.json", trust_env=False).json()
    return found


@pytest.fixture(scope="module")
def generated(stack: Stack, document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    directory = tmp_path_factory.mktemp("generated")
    (directory / "openapi.json").write_text(json.dumps(document))
    (directory / "config.json").write_text('{"post_hooks": []}')
    command = [
        *(str(Path(sysconfig.get_path("scripts")) / "openapi-python-client"), "generate"),
        *("--path", "openapi.json", "--config", "config.json", "--meta", "none", "--output-path", PACKAGE),
        "--fail-on-warning",  # about whatever it would leave out
    ]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(directory))
    try:
        made = Generated(stack)
        with made.client:
            yield made
    finally:
        sys.path.remove(str(directory))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


def test_each_enumeration_is_one_type_with_names_for_people(generated: Generated, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert sorted(generated.models.__all__) == sorted(schemas.keys() - {"AppointmentIn"})
    assert generated.models.Sort.CREATED_AT_DESCENDING == "-created_at"


def test_it_drives_every_operation(generated: Generated, document: dict[str, Any]) -> None:
    beginning = generated.call("follow_changes", after="now").parsed.next_cursor
    first, second = ask_for_two(generated)
    until(lambda: {generated.status(one) for one in (first, second)} == {generated.models.Status.FAILED}, 30)
    look_at(generated, first)
    try_again(generated, first, second)
    follow(generated, first, second, beginning)
    take_webhooks(generated)
    probe(generated, document)

    described = {
        re.sub("([A-Z])", r"_\1", one["operationId"]).lower()
        for item in document["paths"].values()
        for one in item.values()
        if isinstance(one, dict)
    }
    assert described == generated.operations.keys() == generated.called


def ask_for_two(generated: Generated) -> tuple[str, str]:
    """Ask for one with a start in either form; both fail."""
    call, models = generated.call, generated.models
    visit = {"provider": "Dr. Smith", "type_": "new_patient"}
    ask = models.AppointmentByDateAndTime(
        mrn="000000",
        location="Main Clinic",
        **visit,
        date=date(2030, 1, 15),
        time="10:00",
        new_patient=models.Flag.TRUE,
        metadata=models.AnyObject.from_dict({"order": "o-17", "lines": [1, 2.5, None]}),
    )
    first = call("request_appointment", body=ask, idempotency_key="generated", expect=HTTPStatus.ACCEPTED)
    again = call("request_appointment", body=ask, idempotency_key="generated", expect=HTTPStatus.ACCEPTED)
    assert (again.parsed.id, again.headers["Idempotent-Replayed"]) == (first.parsed.id, "true")
    assert first.parsed.metadata["lines"] == [1, 2.5, None]
    start = datetime(2030, 1, 15, 10, tzinfo=EASTERN)
    other = models.AppointmentByDatetime(mrn="123456789", location="Admin Block", **visit, datetime_=start)
    second = call("request_appointment", body=other, prefer="wait=1", expect=HTTPStatus.ACCEPTED)
    assert second.parsed.request.datetime_ == "2030-01-15T10:00:00-05:00"
    return first.parsed.id, second.parsed.id


def look_at(generated: Generated, failed: str) -> None:
    call, models = generated.call, generated.models
    read = call("get_appointment", failed)
    assert read.parsed.failure.category is models.FailureCategory.PATIENT_NOT_FOUND
    assert read.parsed.failure.remedy.fields == ["mrn"]
    known = call("get_appointment", failed, if_none_match=read.headers["ETag"], expect=HTTPStatus.NOT_MODIFIED)
    assert known.parsed is None
    listed = call(
        "list_appointments",
        status=models.Status.FAILED,
        failure_category=models.FailureCategory.PATIENT_NOT_FOUND,
        submission=models.SubmissionState.ACCEPTED,
        created_from=datetime.now(UTC) - timedelta(hours=1),
        sort=models.Sort.CREATED_AT_DESCENDING,
        overdue=False,
        fields="id,status",
        limit=1,
    ).parsed
    assert [one.to_dict() for one in listed.data] == [{"id": failed, "status": "failed"}]


def try_again(generated: Generated, first: str, second: str) -> None:
    """Correct one, and have the other tried again as it is."""
    call, models = generated.call, generated.models
    etag = call("get_appointment", first).headers["ETag"]
    correction = models.CorrectionIn(mrn="123456789", note=None)
    stale = call("correct_appointment", first, body=correction, if_match='"0"', expect=HTTPStatus.PRECONDITION_FAILED)
    assert (stale.parsed.status, stale.headers["ETag"]) == (412, etag)
    corrected = call("correct_appointment", first, body=correction, if_match=etag, expect=HTTPStatus.ACCEPTED).parsed
    assert (corrected.attempt, corrected.request.mrn) == (2, "123456789")
    assert call("resubmit_appointment", second, expect=HTTPStatus.ACCEPTED).parsed.attempt == 2
    until(lambda: generated.status(first) is models.Status.CREATED, 30)
    until(lambda: generated.status(second) is models.Status.FAILED, 30)
    timeline = call("get_timeline", first).parsed
    assert (timeline.status, timeline.data[0].kind) == (models.Status.CREATED, "requested")


def follow(generated: Generated, first: str, second: str, beginning: str) -> None:
    call, models = generated.call, generated.models
    stats = call("get_stats", bucket=models.Bucket.HOUR, from_=datetime.now(UTC) - timedelta(hours=2)).parsed
    assert stats.submitted == sum(stats.status.additional_properties.values()) >= 2
    changes = call("follow_changes", after=beginning, limit=200).parsed
    assert {first, second} <= {one.id for one in changes.data}
    assert call("follow_changes", after=changes.next_cursor, prefer="wait=1").parsed.next_cursor
    events = call("list_events", disposition=models.EventDisposition.APPLIED, appointment_id=first).parsed
    assert (events.data[0].source, events.data[0].type_) == (models.Source.WEBHOOK, "appointment.created")


def take_webhooks(generated: Generated) -> None:
    """Say what Cobalt says, and what cannot be read of it."""
    call, models = generated.call, generated.models
    event = models.CobaltEvent(id="evt_generated", type_="note.created", data=models.AnyObject())
    assert call("take_webhook", body=event).parsed.disposition is models.Disposition.IGNORED
    unreadable = call("take_webhook", body=["generated"], expect=HTTPStatus.ACCEPTED).parsed
    assert unreadable.disposition is models.Disposition.QUARANTINED
    assert call("get_catalogue", "clinic_1").parsed.account == "clinic_1"
    assert call("get_account", "clinic_1").parsed.health is models.AccountHealth.HEALTHY
    assert [one.id for one in call("list_accounts").parsed.data] == ["clinic_1"]
    quarantined = call("list_quarantine", limit=1).parsed.data[0]
    assert call("get_quarantined", quarantined.id).parsed.content == '["generated"]'
    replayed = call("replay_quarantined", quarantined.id).parsed
    assert replayed.disposition is models.ReplayDisposition.QUARANTINED
    assert call("dismiss_quarantined", quarantined.id).parsed.dismissed_at
    event.type_ = "note.updated"
    assert call("take_webhook", body=event, expect=HTTPStatus.ACCEPTED).parsed.disposition is unreadable.disposition
    contradicting = call("list_quarantine", limit=1).parsed.data[0]
    assert contradicting.contradicts == "evt_generated"
    assert call("accept_quarantined", contradicting.id).parsed.disposition is models.ReplayDisposition.IGNORED


def probe(generated: Generated, document: dict[str, Any]) -> None:
    for name in ("get_livez", "get_readyz_api", "get_readyz_webhooks"):
        assert generated.call(name).parsed.status == "ok"
    assert "appointments_build_info" in generated.call("get_metrics").parsed
    assert generated.call("get_openapi").parsed["info"] == document["info"]
    assert "<html" in generated.call("get_docs").parsed


def test_what_is_wrong_is_told_in_types(generated: Generated) -> None:
    ask = generated.models.AppointmentByDateAndTime(
        mrn="", location="Main Clinic", provider="Dr. Smith", type_="new_patient", date=date(2030, 1, 15), time="10:00"
    )
    problem = generated.call("request_appointment", body=ask, expect=HTTPStatus.UNPROCESSABLE_ENTITY).parsed
    assert isinstance(problem, generated.models.Problem)
    assert [one.pointer for one in problem.errors] == ["/mrn"]
    refused = generated.call("list_appointments", cursor="made-up", expect=HTTPStatus.BAD_REQUEST).parsed
    assert refused.type_ == "urn:cobalt-appointments:problem:bad-request"
