"""Counting without cost: on the event loop in plain memory, carried over to the shared metrics."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from service.telemetry import metrics
from service.telemetry.tallies import Counts, Measures


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_what_is_counted_is_carried_over_once(registry: CollectorRegistry) -> None:
    counts = Counts(Counter("seen", "Seen.", ["what"], registry=registry))
    for what in ("a", "b", "a"):
        counts.add(what)
    counts.carry()
    counts.carry()
    counts.add("a")
    assert registry.get_sample_value("seen_total", {"what": "a"}) == 2
    counts.carry()
    assert registry.get_sample_value("seen_total", {"what": "a"}) == 3
    assert registry.get_sample_value("seen_total", {"what": "b"}) == 1


@pytest.mark.parametrize("values", [[0.05, 0.1, 0.11, 0.2, 0.3, 7.0], [], [9.0], [0.0]])
def test_a_histogram_ends_as_if_it_had_observed_each_itself(registry: CollectorRegistry, values: list[float]) -> None:
    bounds = (0.1, 0.2, 1.0)
    itself = Histogram("itself", "Itself.", buckets=bounds, registry=registry)
    carried = Histogram("carried", "Carried.", buckets=bounds, registry=registry)
    measures = Measures(carried, bounds)
    for value in values:
        itself.observe(value)
        measures.add(value)
        measures.carry()

    def shape(name: str) -> list[Any]:
        return [
            (sample.name.removeprefix(name), sample.labels, sample.value)
            for family in registry.collect()
            if family.name == name
            for sample in family.samples
        ]

    assert shape("carried") == shape("itself")


def test_nothing_is_lost_while_it_is_carried_over(registry: CollectorRegistry) -> None:
    counts = Counts(Counter("seen", "Seen.", ["what"], registry=registry))
    done = threading.Event()

    def carry() -> None:
        while not done.is_set():
            counts.carry()

    thread = threading.Thread(target=carry)
    thread.start()
    for number in range(50_000):
        counts.add(str(number % 7))
    done.set()
    thread.join()
    counts.carry()
    assert sum(registry.get_sample_value("seen_total", {"what": str(what)}) or 0 for what in range(7)) == 50_000


@pytest.mark.parametrize(("method", "label"), [("GET", "GET"), ("QUERY", "other"), ("x" * 1000, "other")])
def test_a_method_that_nobody_knows_is_another(method: str, label: str) -> None:
    before = _requests(label)
    metrics.request_answered(None, method, 404, 0.001)
    assert _requests(label) == before + 1


def _requests(method: str) -> float:
    labels = {"route": "none", "method": method, "status": "404"}
    return metrics.REGISTRY.get_sample_value("appointments_http_requests_total", labels) or 0
