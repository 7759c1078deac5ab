"""``cobalt-appointments webhook``: events go where they are taken, and the secret is shown once."""

from __future__ import annotations

import re
import ssl
import sys
import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.lab.processes import Process, free_port
from service.usecases.access import webhook_url
from service.usecases.events.take_webhook import PATH
from tests.scripted_cobalt import drip, listening, read_request

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.web.conftest import Ran

    Run = Callable[..., Ran]

SECRET = re.compile(r"whsec_\w+\n")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    argv = [sys.executable, "-m", "service.lab.sandbox", "--port", str(port), "--client-id", "ci_integration"]
    known = {
        "SANDBOX_ACCOUNT": "clinic_1=at_integration",
        "SANDBOX_CLIENT_SECRET": "cs_integration",
        "SANDBOX_WEBHOOK_SECRET": "whsec_first",
    }
    process = Process("sandbox", argv, {"PYTHONUNBUFFERED": "1"} | known, tmp_path_factory.mktemp("sandbox") / "log")
    process.start()
    process.wait_ready("sandbox listening on")
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()


@pytest.fixture
def cobalt(run: Run, sandbox: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COBALT_BASE_URL", sandbox)
    yield
    for webhook_id in run("webhook", "list").out.split()[::2]:
        assert run("webhook", "remove", webhook_id).code == 0


def registered(run: Run) -> list[str]:
    return run("webhook", "list").out.split()[1::2]


class Server(ThreadingHTTPServer):
    """Answers every GET as it is told, and keeps the paths."""

    daemon_threads = True

    def __init__(self, status: int, body: str, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.paths = status, body, list[str]()
        self.hung = threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients go away, and that is what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        if not self.server.status:
            self.server.hung.wait(60)
            return
        self.send_response(self.server.status)
        self.send_header("Location", "https://elsewhere.example.com/")
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(
    status: int, body: str = '{"status":"ok"}', tls: ssl.SSLContext | None = None
) -> Iterator[tuple[Server, str]]:
    with ExitStack() as stack:
        server = stack.enter_context(Server(status, body, tls=tls))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        stack.callback(server.hung.set)
        yield server, f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.mark.usefixtures("cobalt")
def test_a_webhook_is_registered_listed_rotated_and_removed(run: Run) -> None:
    with serving(200) as (server, url):
        first = run("webhook", "register", url + PATH)
    assert (first.code, first.err) == (0, "")
    assert SECRET.fullmatch(first.out)
    assert server.paths == ["/readyz/webhooks"]
    webhook_id, shown = run("webhook", "list").out.split()
    assert shown == url + PATH
    rotated = run("webhook", "rotate").out
    assert SECRET.fullmatch(rotated)
    assert rotated != first.out
    assert run("webhook", "remove", webhook_id).code == 0
    assert run("webhook", "list").out == ""
    again = run("webhook", "remove", webhook_id)
    assert (again.code, again.err) == (1, "cobalt-appointments: Cobalt answered HTTP 404\n")


@pytest.mark.usefixtures("cobalt")
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://appointments.example.com/webhooks/cobalt", "is not https"),
        ("ftp://appointments.example.com/webhooks/cobalt", "is not a URL like https://"),
        ("appointments.example.com/webhooks/cobalt", "is not a URL like https://"),
        ("https://[::1/webhooks/cobalt", "is not a URL that can be read"),
        ("https://x:99999/webhooks/cobalt", "is not a URL that can be read"),
        ("https://appointments.example.com", "does not end in /webhooks/cobalt"),
        ("https://appointments.example.com/webhook/cobalt", "does not end in /webhooks/cobalt"),
        ("https://appointments.example.com/webhooks/cobalt?a=1", "must be an address and a path only"),
        ("https://user:canary@appointments.example.com/webhooks/cobalt", "must be an address and a path only"),
    ],
)
def test_a_url_that_cannot_be_right_is_refused(run: Run, url: str, said: str) -> None:
    ran = run("webhook", "register", url)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert "canary" not in ran.err
    assert registered(run) == []


def test_an_address_of_this_machine_is_refused_where_cobalt_is_elsewhere(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COBALT_BASE_URL", "https://cobalt.invalid/v1")
    assert "an address of this machine" in run("webhook", "register", f"http://127.0.0.1:8000{PATH}").err


@pytest.mark.usefixtures("cobalt")
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, "", "is answered by something else: HTTP 404"),
        (200, "<html>Welcome</html>", "is answered by something else: HTTP 200"),
        (200, '{"status":"ok"}' + " " * 100_000, "is answered by something else: HTTP 200"),
        (301, "", "is answered by something else: HTTP 301"),
        (401, "", "is answered by something else: HTTP 401"),
    ],
)
def test_a_url_that_something_else_answers_is_refused_unless_forced(
    run: Run, status: int, body: str, said: str
) -> None:
    with serving(status, body) as (_, url):
        refused = run("webhook", "register", url + PATH)
        assert (refused.code, refused.out) == (1, "")
        assert said in refused.err
        assert registered(run) == []
        forced = run("webhook", "register", "--force", url + PATH)
    assert (forced.code, bool(SECRET.fullmatch(forced.out))) == (0, True)
    assert said in forced.err
    assert registered(run) == [url + PATH]


@pytest.mark.usefixtures("cobalt")
def test_a_certificate_that_nobody_trusts_is_refused(run: Run, self_signed: ssl.SSLContext) -> None:
    with serving(200, tls=self_signed) as (_, url):
        assert "has a certificate that is not good for it" in run("webhook", "register", url + PATH).err
    assert registered(run) == []


@pytest.mark.usefixtures("cobalt")
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_service_that_cannot_take_events_yet_is_registered_with_a_word(run: Run, status: int) -> None:
    with serving(status) as (_, url):
        ran = run("webhook", "register", url + PATH)
    assert (ran.code, bool(SECRET.fullmatch(ran.out))) == (0, True)
    assert f"leads to nobody who can keep events yet: HTTP {status}" in ran.err


@pytest.mark.usefixtures("cobalt")
def test_a_url_that_nobody_answers_yet_is_registered_with_a_word(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run("webhook", "register", f"http://127.0.0.1:{free_port()}/clinics{PATH}")
    assert (ran.code, bool(SECRET.fullmatch(ran.out))) == (0, True)
    assert "is answered by nobody yet" in ran.err
    monkeypatch.setattr(webhook_url, "ANSWER_TIMEOUT", 0.2)
    with serving(0) as (_, url):
        ran = run("webhook", "register", url + PATH)
    assert (ran.code, bool(SECRET.fullmatch(ran.out))) == (0, True)
    assert "takes connections and does not answer" in ran.err


@pytest.mark.usefixtures("cobalt")
@pytest.mark.parametrize("command", [("register", f"https://appointments.invalid{PATH}"), ("rotate",)])
def test_a_secret_may_go_to_a_new_file_of_its_owners(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "secret"
    ran = run("webhook", *command, "--secret-file", str(file))
    assert (ran.code, ran.out) == (0, "")
    secret = file.read_text()
    assert SECRET.fullmatch(secret)
    assert secret.strip() not in ran.err
    assert file.stat().st_mode & 0o777 == 0o600
    again = run("webhook", *command, "--secret-file", str(file))
    assert (again.code, again.out) == (1, "")
    assert "--secret-file: File exists" in again.err
    assert file.read_text() == secret


def test_no_file_is_left_where_cobalt_gave_no_secret(run: Run, tmp_path: Path) -> None:
    assert run("webhook", "rotate", "--secret-file", str(tmp_path / "secret")).code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_webhook_command_says_when_cobalt_does_not_answer_or_there_is_no_account(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("webhook", "list")
    assert (ran.code, ran.err) == (1, "cobalt-appointments: Cobalt did not answer: ConnectError\n")
    assert run("webhook", "list", "--account", "elsewhere").code == 1
    monkeypatch.delenv("COBALT_ACCOUNT")
    monkeypatch.delenv("COBALT_ACCESS_TOKEN")
    assert "COBALT_ACCOUNT" in run("webhook", "list").err


@pytest.mark.parametrize("arguments", [("list",), ("rotate",), ("remove", "1")])
def test_a_cobalt_that_drips_is_given_up_when_its_time_is_over(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    def dripping(connection: socket.socket) -> None:
        read_request(connection)
        drip(connection, b"HTTP/1.1 200 OK\r\nX: 1\r\n")

    with listening(dripping) as base_url:
        monkeypatch.setenv("COBALT_BASE_URL", base_url)
        monkeypatch.setenv("COBALT_TIMEOUT", "0.5")
        ran = run("webhook", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err in {
        f"cobalt-appointments: {what}\n"
        for what in ("Cobalt did not answer: ReadTimeout", "Cobalt's reply cannot be read: ReadTimeout")
    }
