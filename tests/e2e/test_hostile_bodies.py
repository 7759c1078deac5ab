"""Bodies that only a real server can be sent: too large, in pieces, announced wrongly, or never finished."""

from __future__ import annotations

import hashlib
import hmac
import socket
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.webhook_sender import Sender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lab.stack import Stack

MEGABYTE = 1024 * 1024


def signed(stack: Stack, body: bytes) -> dict[str, str]:
    return {"cobalt-verification": hmac.new(stack.webhook_secret.encode(), body, hashlib.sha256).hexdigest()}


@pytest.mark.parametrize("size", [MEGABYTE + 1, 8 * MEGABYTE])
def test_a_body_that_is_too_large_is_told_so_in_time(stack: Stack, size: int) -> None:
    with Sender(stack.url, stack.webhook_secret) as sender:
        answer = sender.send(b"x" * size)

    assert answer.status == 413
    assert answer.seconds < 2


@pytest.mark.parametrize(("pieces", "status"), [(1, 202), (2000, 202), (70, 413)])
def test_a_body_in_chunks_is_taken_like_any_other(stack: Stack, pieces: int, status: int) -> None:
    piece = b"y" * (10 if status == 202 else 128 * 1024)

    def body() -> Iterator[bytes]:
        for _ in range(pieces):
            yield piece

    headers = signed(stack, piece * pieces)
    answer = httpx.post(f"{stack.url}/webhooks/cobalt", content=body(), headers=headers, timeout=5, trust_env=False)

    assert answer.status_code == status


@pytest.mark.parametrize("announced", ["-1", "x", "1e3", "99999999999999999999", "5, 6"])
def test_a_wrongly_announced_length_is_no_error_of_ours(stack: Stack, announced: str) -> None:
    with socket.create_connection(("127.0.0.1", stack.web_ports[0]), timeout=5) as connection:
        head = f"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n"
        connection.sendall(head.encode() + b"{}")
        status = connection.recv(1024).split()[1]

    assert status in {b"400", b"401", b"413"}


def test_senders_that_never_finish_do_not_keep_others_waiting(stack: Stack) -> None:
    head = b"POST /webhooks/cobalt HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    connections = [socket.create_connection(("127.0.0.1", stack.web_ports[0]), timeout=5) for _ in range(50)]
    try:
        for connection in connections:
            connection.sendall(head)
        began = time.monotonic()
        with Sender(stack.url, stack.webhook_secret) as sender:
            assert sender.send(b"unreadable, but signed").status == 202
        assert time.monotonic() - began < 1
    finally:
        for connection in connections:
            connection.close()
