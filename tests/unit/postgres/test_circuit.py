"""The circuit remembers an outage, and lets one caller try now and then."""

from __future__ import annotations

import pytest

from service.postgres.circuit import HALF_OPEN_AFTER, Circuit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("service.postgres.circuit.time.monotonic", lambda: now[0])
    return now


def test_it_begins_closed() -> None:
    circuit = Circuit()

    assert not circuit.is_open
    assert not circuit.seems_open


def test_opening_and_closing_are_news_once() -> None:
    circuit = Circuit()

    assert [circuit.close(), circuit.open(), circuit.open()] == [False, True, False]
    assert circuit.is_open
    assert [circuit.close(), circuit.close()] == [True, False]
    assert not circuit.is_open


def test_after_a_while_one_caller_is_told_to_try_and_the_others_are_not(clock: list[float]) -> None:
    circuit = Circuit()
    circuit.open()

    clock[0] += HALF_OPEN_AFTER
    before = circuit.is_open
    clock[0] += 0.1
    asked = [circuit.is_open for _ in range(5)]

    assert before
    assert asked == [False, True, True, True, True]
    assert circuit.seems_open


def test_hearing_of_the_outage_again_begins_the_wait_anew(clock: list[float]) -> None:
    circuit = Circuit()
    circuit.open()

    clock[0] += HALF_OPEN_AFTER
    circuit.open()
    clock[0] += HALF_OPEN_AFTER

    assert circuit.is_open
