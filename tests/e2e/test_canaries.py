"""No patient's data and no secret is in any log, whatever is asked of the running service."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from service.cobalt.signing import HEADER, sign
from service.lab.demo import APPOINTMENT, cases
from service.postgres.sessions import connect
from tests.overheard import NEVER_KEPT, bodies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

MRN = "QX77410099"
NOTE = "weeping willow"
PATIENCE = 20


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, trust_env=False) as client:
        yield client


def deliver(stack: Stack, raw: bytes, *, secret: str | None = None) -> httpx.Response:
    headers = {HEADER: sign(raw, secret or stack.webhook_secret)}
    return httpx.post(f"{stack.url}/webhooks/cobalt", content=raw, headers=headers, trust_env=False)


def speak(stack: Stack, said: str) -> None:
    """Say something to the web process that no client would."""
    address = urlsplit(stack.url)
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=10) as connection:
        connection.sendall(said.encode())
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass


def submit_all_outcomes(client: httpx.Client) -> None:
    ids = []
    for case in cases():
        asked = APPOINTMENT | {"mrn": MRN, "note": NOTE, "reason": NOTE, "metadata": {"mrn": MRN}} | case.changed
        ids.append(client.post("/v1/appointments", json=asked).raise_for_status().json()["id"])
    deadline = time.monotonic() + PATIENCE
    while ids and time.monotonic() < deadline:
        shown = client.get(f"/v1/appointments/{ids[0]}").json()
        if shown["status"] == "processing":
            time.sleep(0.05)
            continue
        client.get(f"/v1/appointments/{ids.pop(0)}/timeline").raise_for_status()
    assert ids == []


def fail_in_every_way(client: httpx.Client, stack: Stack) -> None:
    headers = {"Content-Type": "application/json"}
    unstorable = json.dumps(APPOINTMENT | {"mrn": MRN, "metadata": {MRN: NOTE, "x": "\ud800"}})
    statuses = [
        client.post("/v1/appointments", json=APPOINTMENT | {"mrn": MRN, "note": NOTE + "\0"}).status_code,
        client.post("/v1/appointments", json=APPOINTMENT | {"mrn": MRN, "patient": NOTE}).status_code,
        client.post("/v1/appointments", content=f'{{"mrn":"{MRN}","n":"\\ud800"'.encode(), headers=headers).status_code,
        client.post("/v1/appointments", content=unstorable.encode(), headers=headers).status_code,
        client.post(f"/v1/appointments?mrn={MRN}", content=MRN).status_code,
        client.get(f"/v1/appointments?mrnn={MRN}").status_code,
        client.get(f"/v1/appointments?cursor={MRN}").status_code,
        client.get(f"/v1/appointments/{MRN}").status_code,
        client.get(f"/{MRN}").status_code,
        client.request("DELETE", f"/v1/appointments/{MRN}").status_code,
        client.get("/v1/appointments", headers={"Authorization": f"Bearer {MRN}"}).status_code,
        client.get("/v1/appointments", headers={"X-Request-Id": f"{MRN} {NOTE}"}).status_code,
        deliver(stack, json.dumps({"mrn": MRN, "note": NOTE}).encode()).status_code,
        deliver(stack, f'{{"mrn":"{MRN}","note":"{NOTE}"'.encode()).status_code,
        deliver(stack, json.dumps({"mrn": MRN}).encode(), secret="another").status_code,
        deliver(stack, unseen_failure()).status_code,
    ]
    assert statuses == [422, 422, 400, 422, 415, 422, 400, 404, 404, 405, 401, 200, 202, 202, 401, 200]
    for said in (
        f"GET /v1/appointments?mrn={MRN} {NOTE} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"{MRN}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer {stack.api_key}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\x01{stack.api_key}\r\n\r\n",
        f"GET /?mrn={MRN} HTTP/9.9\r\nHost: x\r\n\r\n",
        f"POST /?mrn={MRN} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {MRN}\r\n\r\n",
        f"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{MRN}\r\n{NOTE}\r\n",
        f"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\nContent-Length: {MRN}\r\n\r\n{NOTE}",
        f"GET /{MRN * 2000} HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        speak(stack, said)


def unseen_failure() -> bytes:
    data = {"appointment_id": "canary", "mrn": MRN, "failure_reason": f"{MRN} {NOTE}: never said before"}
    event = {"id": "evt_canary", "object": "event", "created": "2030-01-01T00:00:00Z", "type": "appointment.failed"}
    return json.dumps(event | {"access_token_reference_id": "clinic_1", "data": data}).encode()


def logs(stack: Stack) -> dict[str, str]:
    found = {path.name: path.read_text() for path in stack.logs.glob("*.log")}
    with connect(stack.database_url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    found["postgres.log"] = (Path(row[0]).parent / "postgres.log").read_text()
    return found


def test_no_canary_is_in_any_log(client: httpx.Client, stack: Stack) -> None:
    submit_all_outcomes(client)
    fail_in_every_way(client, stack)
    for raw in bodies("clinic_1", "canary_heard"):
        assert deliver(stack, raw).status_code in {200, 202}
    assert client.get("/v1/events?limit=200").raise_for_status().json()["data"]
    secrets: dict[str, Any] = {
        "the MRN": MRN,
        "the note": NOTE,
        "the webhook secret": stack.webhook_secret,
        "the access token": stack.access_token,
        "the client secret": stack.client_secret,
        "the API key": stack.api_key,
        **NEVER_KEPT,
    }
    read = logs(stack)
    assert {name.partition("-")[0].partition(".")[0] for name in read} == {"postgres", "sandbox", "web", "worker"}
    leaks = [
        (name, what, re.findall(f".*{re.escape(secret)}.*", text)[0][:300])
        for name, text in read.items()
        for what, secret in secrets.items()
        if secret in text
    ]
    assert leaks == []
    requests = [json.loads(line) for line in read["web-1.log"].splitlines() if '"request"' in line]
    assert {line["http_status"] for line in requests} >= {200, 202, 400, 404, 415, 422}


def test_a_webhook_over_the_limit_is_refused_though_its_length_was_not_announced(stack: Stack) -> None:
    piece = b"x" * 65536
    chunk = b"10000\r\n" + piece + b"\r\n"
    head = f"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\n{HEADER}: {'0' * 64}\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert speak_until_refused(stack, head.encode(), chunk, 17).startswith(b"HTTP/1.1 413 ")


def speak_until_refused(stack: Stack, head: bytes, chunk: bytes, times: int) -> bytes:
    address = urlsplit(stack.url)
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=5) as connection:
        connection.sendall(head)
        for _ in range(times):
            connection.sendall(chunk)
        return connection.recv(65536)
