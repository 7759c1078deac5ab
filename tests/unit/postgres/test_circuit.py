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
    assert not Circuit().is_open


def test_opening_and_closing_are_news_once() -> None:
    circuit = Circuit()

    assert [circuit.close(), circuit.open(), circuit.open()] == [False, True, False]
    assert circuit.is_open
    assert [circuit.close(), circuit.close()] == [True, False]
    assert not circuit.is_open


def test_whoever_only_asks_changes_nothing(clock: list[float]) -> None:
    circuit = Circuit()
    circuit.open()
    clock[0] += HALF_OPEN_AFTER + 0.1

    assert [circuit.is_open for _ in range(3)] == [True] * 3
    assert circuit.claim_try()


def test_after_a_while_one_caller_may_try_and_the_others_may_not(clock: list[float]) -> None:
    circuit = Circuit()
    circuit.open()

    clock[0] += HALF_OPEN_AFTER
    before = circuit.claim_try()
    clock[0] += 0.1
    tries = [circuit.claim_try() for _ in range(5)]

    assert not before
    assert tries == [True, False, False, False, False]
    assert circuit.is_open


def test_hearing_of_the_outage_again_begins_the_wait_again(clock: list[float]) -> None:
    circuit = Circuit()
    circuit.open()

    clock[0] += HALF_OPEN_AFTER
    circuit.open()
    clock[0] += HALF_OPEN_AFTER

    assert not circuit.claim_try()


def test_nobody_has_to_try_while_it_is_closed(clock: list[float]) -> None:
    circuit = Circuit()
    clock[0] += HALF_OPEN_AFTER + 0.1

    assert not circuit.claim_try()
    assert not circuit.is_open
