"""The real server, and strangers that hold what they can: over raw sockets, with a legitimate sender beside them."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from service.cobalt.signing import sign
from service.lab.processes import free_port
from tests.conftest import fresh_database
from tests.stacks import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

LIMITS = {
    "FIRST_BYTE_TIMEOUT": "1",
    "HEAD_TIMEOUT": "1",
    "BODY_TIMEOUT": "1",
    "KEEPALIVE_TIMEOUT": "1.5",
    "CONNECTION_LIMIT": "100",
    "BUFFER_LIMIT": "2000000",
    "WEB_CONCURRENCY": "1",
}


@pytest.fixture(scope="module")
def stack(server_url: str, template: str) -> Iterator[Stack]:

    internal = {"INTERNAL_PORT": str(free_port())}
    with (
        fresh_database(server_url, template) as url,
        running(database_url=url, workers=0, env=LIMITS | internal) as stack,
    ):
        yield stack


def address(stack: Stack) -> tuple[str, int]:
    host, port = stack.url.removeprefix("http://").split(":")
    return host, int(port)


def deliver(stack: Stack, number: int, target: str = "/webhooks/cobalt") -> tuple[int, str]:
    """Send a webhook as Cobalt does; returns its status and disposition, within the two seconds that Cobalt waits."""
    body = json.dumps({"id": f"evt_front_{number}", "type": "patient.updated", "data": {}}).encode()
    connection = HTTPConnection(*address(stack), timeout=2)
    try:
        connection.request("POST", target, body, {"cobalt-verification": sign(body, stack.webhook_secret)})
        answer = connection.getresponse()
        return answer.status, str(json.loads(answer.read()).get("disposition"))
    finally:
        connection.close()


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(10_000) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def resident(stack: Stack) -> int:
    parent = psutil.Process(stack.webs[0].pid)
    return sum(int(process.memory_info().rss) for process in parent.children())


@pytest.mark.parametrize(
    "target",
    ["/webhooks/cobalt/", "//webhooks/cobalt", "/webhooks//cobalt", "http://clinic.example.com/webhooks/cobalt?a=b"],
)
def test_the_address_of_webhooks_may_be_written_with_a_slash_more(stack: Stack, target: str) -> None:
    assert deliver(stack, hash(target), target) == (200, "ignored")


@pytest.mark.parametrize("target", ["/webhooks/cobalt/more", "/webhooks", "/cobalt"])
def test_another_address_is_not_taken_for_that_of_webhooks(stack: Stack, target: str) -> None:
    assert deliver(stack, 0, target)[0] == 404


@pytest.mark.parametrize(
    "begin",
    [b"", b"POST /webhooks/cobalt HT", b"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\nX-A: b", b"signed body"],
    ids=["nothing", "request line", "headers", "body"],
)
def test_strangers_that_hold_connections_are_let_go_and_webhooks_are_answered(stack: Stack, begin: bytes) -> None:
    if begin == b"signed body":
        head = f"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\ncobalt-verification: {'0' * 64}\r\nContent-Length: 99"
        begin = head.encode() + b"\r\n\r\n."
    with ExitStack() as held:
        silent = []
        for _ in range(150):  # more than CONNECTION_LIMIT
            silent.append(held.enter_context(socket.create_connection(address(stack))))
            silent[-1].sendall(begin)
        assert deliver(stack, 1)[0] == 200
        until = time.monotonic() + 10
        while any(map(is_open, silent)) and time.monotonic() < until:
            for one in silent:
                if is_open(one) and begin:
                    one.send(b"x")  # trickling does not help
            time.sleep(0.2)
        assert not any(map(is_open, silent))
        assert deliver(stack, 2)[0] == 200


def test_unfinished_bodies_are_bounded_together(stack: Stack) -> None:
    piece = b"x" * 500_000
    head = f"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\ncobalt-verification: {'0' * 64}\r\nContent-Length: 900000"
    before = resident(stack)
    with ExitStack() as held:
        for number in range(60):
            connection = held.enter_context(socket.create_connection(address(stack)))
            connection.sendall(head.encode() + b"\r\n\r\n" + piece)
            if number % 10 == 0:
                assert deliver(stack, number)[0] == 200
        assert resident(stack) - before < 15_000_000


def test_a_webhook_without_a_signature_is_refused_before_its_body_is_sent(stack: Stack) -> None:
    for signature in ("", "cobalt-verification: short\r\n"):
        with socket.create_connection(address(stack)) as connection:
            head = f"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\n{signature}Content-Length: 1000000\r\n\r\n"
            connection.sendall(head.encode())
            connection.settimeout(2)
            came = connection.recv(10_000)
            assert came.startswith(b"HTTP/1.1 401 ")
            assert b"application/problem+json" in came


def test_what_is_refused_by_the_server_itself_is_a_problem_with_a_request_id(stack: Stack) -> None:
    with socket.create_connection(address(stack)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nX-A : b\r\n\r\n")
        connection.settimeout(2)
        head, _, body = connection.recv(10_000).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-request-id: req_" in head
    assert json.loads(body)["status"] == 400


@pytest.mark.parametrize("path", ["/livez", "/v1/appointments", "/nowhere", "/webhooks/cobalt"])
def test_no_answer_is_stored_sniffed_or_names_the_software(stack: Stack, path: str) -> None:
    headers = httpx.get(stack.url + path, trust_env=False).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers
    assert "Date" in headers


def test_what_is_for_operations_is_answered_at_the_address_for_operations_only(stack: Stack) -> None:
    internal = f"http://127.0.0.1:{stack.env['INTERNAL_PORT']}"
    for path in ("/metrics", "/openapi.json", "/docs"):
        assert httpx.get(stack.url + path, trust_env=False).status_code == 404
        assert httpx.get(internal + path, trust_env=False).status_code == 200


def test_a_flood_of_unsigned_requests_leaves_a_few_lines_in_the_log(stack: Stack) -> None:
    before = len(stack.webs[0].log_text().splitlines())
    with httpx.Client(trust_env=False, base_url=stack.url) as client:
        for _ in range(200):
            assert client.post("/webhooks/cobalt", content=b"{}").status_code == 401
            assert client.get("/v1/appointments").status_code == 401
    assert len(stack.webs[0].log_text().splitlines()) - before < 10
