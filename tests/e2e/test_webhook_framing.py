"""HTTP as senders write it: the real server, over raw sockets."""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from service.cobalt.signing import sign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

ANSWERS = re.compile(rb"HTTP/1\.1 (\d+) .*?\r\n\r\n", re.DOTALL)


class Sender:
    """One connection to the web process."""

    def __init__(self, connection: socket.socket, secret: str) -> None:
        self.connection = connection
        self.secret = secret

    def head(self, body: bytes, *lines: str, method: str = "POST") -> bytes:
        """Write the head of a request that announces the body, unless the lines say how it comes."""
        framed = any(line.startswith("Transfer-Encoding") for line in lines)
        head = [f"{method} /webhooks/cobalt HTTP/1.1", "Host: x", f"cobalt-verification: {sign(body, self.secret)}"]
        head += [] if framed else [f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, *lines, "", ""]).encode()

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.sendall(part)
            time.sleep(0.05)  # so that each arrives by itself

    def read(self, wanted: bytes, seconds: float = 5) -> bytes:
        """Read until something is among what came, or the connection ends."""
        self.connection.settimeout(seconds)
        came = b""
        while wanted not in came:
            part = self.connection.recv(10_000)
            if not part:
                break
            came += part
        return came

    def ended(self) -> bool:
        self.connection.settimeout(5)
        return self.connection.recv(1) == b""


@contextmanager
def connected(stack: Stack) -> Iterator[Sender]:
    host, port = stack.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        yield Sender(connection, stack.webhook_secret)


def event(event_id: str) -> bytes:
    return json.dumps({"id": event_id, "type": "patient.updated", "data": {}}).encode()


def disposition(answer: bytes) -> str:
    return str(json.loads(answer.rpartition(b"\r\n\r\n")[2])["disposition"])


def test_a_body_in_pieces_is_put_together(stack: Stack) -> None:
    body = event("evt_pieces")
    with connected(stack) as sender:
        sender.send(sender.head(body), body[:10], body[10:20], body[20:])
        answer = sender.read(b"}")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert disposition(answer) == "ignored"


def test_a_chunked_body_is_put_together(stack: Stack) -> None:
    body = event("evt_chunked")
    with connected(stack) as sender:
        sender.send(
            sender.head(body, "Transfer-Encoding: chunked"), b"5\r\n", body[:5] + b"\r\n", b"%x\r\n" % (len(body) - 5)
        )
        sender.send(body[5:] + b"\r\n0\r\n\r\n")
        answer = sender.read(b"}")
    assert disposition(answer) == "ignored"


def test_who_asks_whether_to_go_on_is_told_to(stack: Stack) -> None:
    body = event("evt_continue")
    with connected(stack) as sender:
        sender.send(sender.head(body, "Expect: 100-continue"))
        assert sender.read(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sender.send(body)
        answer = sender.read(b"}")
    assert disposition(answer) == "ignored"


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(stack: Stack) -> None:
    with connected(stack) as sender:
        sender.send(
            b"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n"
        )
        answer = sender.read(b"}")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert sender.ended()  # what would come is no request


def test_one_connection_carries_many_requests_and_each_has_its_answer(stack: Stack) -> None:
    bodies = [event(f"evt_many_{number}") for number in range(3)]
    with connected(stack) as sender:
        for body in bodies:
            sender.send(sender.head(body) + body)
            assert disposition(sender.read(b"}")) == "ignored"
        # All at once, without waiting for answers, and one of them for somebody else.
        livez = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        sender.send(
            sender.head(bodies[0]) + bodies[0] + livez + sender.head(bodies[1], "Connection: close") + bodies[1]
        )
        came = b""
        while part := sender.connection.recv(10_000):
            came += part
    assert ANSWERS.findall(came) == [b"200"] * 3
    assert came.count(b'"disposition":"duplicate"') == 2
    assert came.count(b"connection: close") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_other_methods_are_refused_and_the_connection_lives_on(stack: Stack, method: str) -> None:
    body = event("evt_methods")
    with connected(stack) as sender:
        sender.send(sender.head(b"", method=method))
        answer = sender.read(b"\r\n\r\n" if method == "HEAD" else b"}")
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"allow: POST" in answer
        sender.send(sender.head(body) + body)
        assert sender.read(b"}").startswith(b"HTTP/1.1 200 ")


def test_who_leaves_in_the_middle_leaves_nothing_behind(stack: Stack) -> None:
    body = event("evt_left")
    with connected(stack) as sender:
        sender.send(sender.head(body), body[:20])
    with connected(stack) as sender:
        sender.send(sender.head(body) + body)
        assert disposition(sender.read(b"}")) == "ignored"  # and not a duplicate


def test_what_is_no_http_is_refused(stack: Stack) -> None:
    with connected(stack) as sender:
        sender.send(b"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n")
        assert sender.read(b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert sender.ended()
