"""What Cobalt answers, or does not, becomes the right one of our words: sent again or never sent again."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from json import dumps
from typing import TYPE_CHECKING, Any

import pytest

from service.cobalt import (
    SHOWN,
    TOO_MANY,
    Accepted,
    Cobalt,
    Credentials,
    NeverLeft,
    Rejected,
    Throttled,
    Unauthorized,
    Unclear,
    read_reply,
)
from service.cobalt.exchange import Received
from tests.scripted_cobalt import listening, read_request
from tests.settings import settings_from

if TYPE_CHECKING:
    from pathlib import Path

PROCESSING = "Appointment processing. A webhook event will be sent upon completion."
CLOCK = "Wed, 01 Jan 2025 10:00:00 GMT"
ON_THE_CLOCK = datetime(2025, 1, 1, 10, tzinfo=UTC)
CREDENTIALS = Credentials("clinic_1", "user_1", "token_1")
BODY = {"mrn": "1", "type": "new_patient"}


def reply(status: int = 200, json: Any = None, **headers: str) -> Received:  # noqa: ANN401
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    return Received(status, {"date": CLOCK} | headers, dumps(json).encode())


SHAPES = {
    "the page's example [S]": ({"success": True, "data": {"appointment_id": "12", "message": PROCESSING}}, None),
    "the page's schema [S]": ({"success": True, "message": PROCESSING, "data": {"appointment_id": "12"}}, None),
    "later, at top level [P]": (
        {"success": True, "message": PROCESSING, "appointment_id": "12", "job_id": 345},
        "345",
    ),
    "later, under data [P]": (
        {"success": True, "message": PROCESSING, "data": {"appointment_id": "12", "job_id": 345}},
        "345",
    ),
    "with the id as a number": ({"success": True, "data": {"appointment_id": 12}}, None),
    "with blanks around the id": ({"success": True, "data": {"appointment_id": " 12 "}}, None),
    "with an id at both places": ({"appointment_id": "12", "data": {"appointment_id": "13"}}, None),
    "without the word success": ({"data": {"appointment_id": "12"}}, None),
}


@pytest.mark.parametrize(("json", "job_id"), SHAPES.values(), ids=SHAPES)
def test_a_success_in_any_documented_shape_is_accepted_with_its_id(json: dict[str, Any], job_id: str | None) -> None:
    assert read_reply(reply(json=json)) == Accepted("12", job_id, ON_THE_CLOCK)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_with_an_id_is_accepted(status: int) -> None:
    assert isinstance(read_reply(reply(status, {"data": {"appointment_id": "12"}})), Accepted)


WITHOUT_ID = {
    "no id": {"success": True, "message": PROCESSING},
    "an empty id": {"success": True, "data": {"appointment_id": ""}},
    "a blank id": {"success": True, "data": {"appointment_id": "  "}},
    "null": {"success": True, "data": {"appointment_id": None}},
    "a truth for an id": {"success": True, "appointment_id": True},
    "an object for an id": {"success": True, "appointment_id": {"id": "12"}},
    "data that is a list": {"success": True, "data": [{"appointment_id": "12"}]},
    "a list": [{"appointment_id": "12"}],
    "a text": "12",
    "nothing": None,
    "an id that cannot be stored": {"success": True, "appointment_id": "1\x002"},
    "an endless id": {"success": True, "appointment_id": "1" * 5000},
}


@pytest.mark.parametrize("json", WITHOUT_ID.values(), ids=WITHOUT_ID)
def test_a_success_without_an_id_is_unclear(json: object) -> None:
    response = Received(200) if json is None else reply(json=json)
    assert isinstance(read_reply(response), Unclear)


def test_a_2xx_that_says_it_was_no_success_is_unclear() -> None:
    json = {"success": False, "data": {"appointment_id": "12"}}
    assert isinstance(read_reply(reply(json=json)), Unclear)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"success":true,"data":{"appointment_id":"1',
        b"<html>Bad gateway</html>",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"appointment_id":' + b"9" * 5000 + b"}",
        b'{"appointment_id":"\\ud800"}',
    ],
)
def test_a_2xx_that_cannot_be_read_is_unclear(content: bytes) -> None:
    assert isinstance(read_reply(Received(200, content=content)), Unclear)


@pytest.mark.parametrize("status", [300, 302, 307, 500, 502, 503, 504, 599])
def test_a_server_error_or_a_redirect_is_unclear(status: int) -> None:
    answer = read_reply(reply(status, {"success": True, "data": {"appointment_id": "12"}}, location="/elsewhere"))
    assert answer == Unclear(f"HTTP {status}", status)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_unauthorized(status: int) -> None:
    assert read_reply(reply(status, {"success": False, "message": "no"})) == Unauthorized(status)


@pytest.mark.parametrize("status", [400, 404, 409, 410, 422, 451])
def test_any_other_4xx_is_a_rejection_in_cobalts_words_and_on_its_clock(status: int) -> None:
    answer = read_reply(reply(status, {"success": False, "message": "mrn is required"}))
    assert answer == Rejected(status, "mrn is required", ON_THE_CLOCK)


@pytest.mark.parametrize(
    "response",
    [
        Received(400, content=b"<html>"),
        reply(400, {"success": False}),
        reply(400, {"message": ["a", "list"]}),
        reply(400, {"message": "  "}),
        reply(400, ["message"]),
    ],
)
def test_a_rejection_without_words_is_told_by_its_status(response: Received) -> None:
    answer = read_reply(response)
    assert isinstance(answer, Rejected)
    assert answer.reason == "HTTP 400"


def test_a_rejections_words_can_be_stored_and_are_cut() -> None:
    answer = read_reply(Received(400, content=b'{"message":"a\\u0000b\\ud800c' + b"d" * 1000 + b'"}'))
    assert isinstance(answer, Rejected)
    assert answer.reason.startswith("a\ufffdb?cd")
    assert len(answer.reason) == SHOWN


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("0", timedelta(0)),
        ("-5", timedelta(0)),
        ("-99999999999999999999", timedelta(0)),
        ("99999999999999999999", TOO_MANY),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", timedelta(seconds=1)),
        ("1000000", TOO_MANY),
        ("9" * 400, TOO_MANY),
        ("Wed, 01 Jan 2025 10:00:30 GMT", timedelta(seconds=30)),
        ("Wed, 01 Jan 2025 09:59:30 GMT", timedelta(0)),
        ("Thu, 31 Dec 2099 00:00:00 GMT", TOO_MANY),
        ("soon", timedelta(seconds=1)),
        ("", timedelta(seconds=1)),
    ],
)
def test_too_many_requests_says_how_long_to_wait_in_either_form_of_the_header(header: str, wait: timedelta) -> None:
    assert read_reply(reply(429, {"success": False}, retry_after=header)) == Throttled(wait)


def test_too_many_requests_without_a_retry_after_is_a_second() -> None:
    assert read_reply(reply(429)) == Throttled(timedelta(seconds=1))


def test_a_correction_is_accepted_although_its_reply_names_no_id() -> None:
    json = {"success": True, "message": "Appointment updated successfully"}
    assert read_reply(reply(json=json), known_id="12") == Accepted("12", None, ON_THE_CLOCK)


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Wed, 99 Jan 2025 10:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -0200",
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
    ],
)
def test_our_clock_stands_in_where_cobalts_cannot_be_read(date: str) -> None:
    before = datetime.now(UTC)
    answer = read_reply(reply(json={"appointment_id": "12"}, date=date))
    assert isinstance(answer, Accepted)
    assert before <= answer.replied_at <= datetime.now(UTC)


def test_a_date_without_a_zone_is_utc_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        answer = read_reply(reply(json={"appointment_id": "12"}, date="Wed, 01 Jan 2025 10:00:00 -0000"))
    time.tzset()
    assert isinstance(answer, Accepted)
    assert answer.replied_at == ON_THE_CLOCK


def call(base_url: str, credentials: Credentials = CREDENTIALS, *, timeout: str = "5") -> object:
    with Cobalt(settings_from(COBALT_BASE_URL=base_url, COBALT_TIMEOUT=timeout)) as client:
        return client.create(credentials, BODY)


def test_a_call_carries_our_keys_the_accounts_token_and_json() -> None:
    seen = []

    def answer(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        json = b'{"success":true,"data":{"appointment_id":"12"}}'
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(json), json))

    with listening(answer) as base_url:
        assert isinstance(call(base_url), Accepted)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/appointments HTTP/1.1"
    assert {b"client_id: ci_test", b"client_secret: cs_test", b"access_token: token_1"} <= set(lines)
    assert b"content-type: application/json" in [line.lower() for line in lines]
    assert body == b'{"mrn":"1","type":"new_patient"}'


def test_a_refused_connection_never_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert call(f"http://127.0.0.1:{port}/v1") == NeverLeft("ConnectError")


def test_a_name_that_does_not_exist_never_left() -> None:
    assert isinstance(call("https://cobalt.invalid/v1"), NeverLeft)


def test_a_server_without_tls_never_had_the_request() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(answer) as base_url:
        assert call(base_url.replace("http:", "https:")) == NeverLeft("ConnectError")


def test_a_tls_handshake_that_is_never_answered_never_left() -> None:
    with listening(None) as base_url:
        assert call(base_url.replace("http:", "https:"), timeout="0.1") == NeverLeft("ConnectTimeout")


CUTS = {
    "at once": b"",
    "in the status": b"HTTP/1.1 2",
    "in the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in the body": b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"success":true,',
}


@pytest.mark.parametrize("part", CUTS.values(), ids=CUTS)
def test_a_connection_cut_after_the_request_is_unclear(part: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(part)

    with listening(answer) as base_url:
        assert isinstance(call(base_url), Unclear)


def test_a_connection_reset_before_any_answer_is_unclear() -> None:
    def answer(connection: socket.socket) -> None:
        # To close with unread input makes the kernel send a reset instead of an orderly end.
        connection.recv(1)

    with listening(answer) as base_url:
        assert isinstance(call(base_url), Unclear)


def test_an_answer_that_is_not_http_is_unclear() -> None:
    def answer(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

    with listening(answer) as base_url:
        assert isinstance(call(base_url), Unclear)


def test_an_answer_that_does_not_come_in_time_is_unclear() -> None:
    with listening(None) as base_url:
        assert call(base_url, timeout="0.1") == Unclear("ReadTimeout")


def test_a_body_that_breaks_off_in_silence_is_unclear() -> None:
    gone = threading.Event()

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(CUTS["in the body"])
        gone.wait(10)

    with listening(answer) as base_url:
        reply = call(base_url, timeout="0.2")
        gone.set()
    assert reply == Unclear("ReadTimeout", 200)


@pytest.mark.parametrize("token", ["token\n", "tökén", "to\x00ken", " token"])
def test_a_token_that_cannot_be_sent_never_left(token: str) -> None:
    with listening(None) as base_url:
        assert isinstance(call(base_url, Credentials("clinic_1", "user_1", token)), NeverLeft)


def test_a_secret_from_a_file_that_ends_in_a_newline_can_be_sent(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("cs\n")
    assert settings_from(COBALT_CLIENT_SECRET_FILE=str(secret)).cobalt_client_secret == "cs"


def test_neither_a_token_nor_a_secret_shows_in_what_is_printed() -> None:
    assert "token_1" not in repr(CREDENTIALS)
    assert "cs_test" not in repr(settings_from())
