"""What a worker answers at its own address."""

from __future__ import annotations

import socket

import httpx
import pytest

from service.errors import SettingsError
from service.lab.processes import NO_TLS, free_port
from service.worker import address as worker_address
from service.worker.address import Beat, serving


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, verify=NO_TLS)


def test_health_and_metrics_have_addresses_and_nothing_else_has() -> None:
    port = free_port()
    with serving("127.0.0.1", port, {"/livez": (lambda: True, "x"), "/readyz": (lambda: False, "PostgreSQL is away.")}):
        assert (get(port, "/livez").status_code, get(port, "/livez").json()) == (200, {"status": "ok"})
        unready = get(port, "/readyz")
        assert (unready.status_code, unready.json()) == (503, {"status": "not well", "detail": "PostgreSQL is away."})
        assert "appointments_submissions_total" in get(port, "/metrics").text
        assert {get(port, path).status_code for path in ("/", "/livez/", "/v1/appointments")} == {404}
    with pytest.raises(httpx.ConnectError):
        get(port, "/livez")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(SettingsError, match="METRICS_PORT: port"),
            serving("127.0.0.1", taken.getsockname()[1], {}),
        ):
            pass


def test_who_says_nothing_does_not_keep_others_from_being_answered() -> None:
    port = free_port()
    with serving("127.0.0.1", port, {"/livez": (lambda: True, "x")}), socket.create_connection(("127.0.0.1", port)):
        assert get(port, "/livez").status_code == 200


def test_a_loop_that_does_not_come_round_any_more_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    beat = Beat()
    assert beat.is_fresh()
    monkeypatch.setattr(worker_address, "LONGEST_ROUND", 0.0)
    assert not beat.is_fresh()
    monkeypatch.undo()
    beat.give()
    assert beat.is_fresh()
