"""What is counted and measured, for Prometheus; docs/metrics.md says the same to people.

No label holds anything that a caller, a patient or Cobalt chose: each has few values, all of them known here.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from http import HTTPMethod
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from psycopg.errors import lookup

from service.telemetry import log
from service.telemetry.tallies import Counts, Measures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Engine

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nothing here needs

logger = log.get_logger(__name__)

CARRY_EVERY = 0.5
"""Seconds until what was counted on the event loop is seen."""
METHODS = frozenset(HTTPMethod)

PROMPT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
REQUEST = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 35.0)
CALL = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

REGISTRY = CollectorRegistry()

http_requests = Counter(
    "appointments_http_requests",
    "Requests answered by the API, by route template, method and status.",
    ["route", "method", "status"],
    registry=REGISTRY,
)
http_request_seconds = Histogram(
    "appointments_http_request_seconds",
    "Seconds that the API took for an answer; those that a caller waited by its own `Prefer: wait` are not among them.",
    ["route", "method"],
    buckets=REQUEST,
    registry=REGISTRY,
)
webhook_deliveries = Counter(
    "appointments_webhook_deliveries",
    "Deliveries to the webhook address, by what they were answered: a disposition, or why they were not taken.",
    ["outcome"],
    registry=REGISTRY,
)
webhook_seconds = Histogram(
    "appointments_webhook_seconds",
    "Seconds from the first byte of a webhook to its answer; Cobalt waits 5, and 2 the second time.",
    buckets=PROMPT,
    registry=REGISTRY,
)
events = Counter(
    "appointments_events",
    "What became of events, by how they came. Applied with source poll are outcomes whose webhook was missed.",
    ["source", "disposition"],
    registry=REGISTRY,
)
batch_size = Histogram(
    "appointments_batch_size",
    "Webhooks that shared one transaction (door) or one write to the disk (spool).",
    ["batch"],
    buckets=SIZES,
    registry=REGISTRY,
)
submissions = Counter(
    "appointments_submissions",
    "Calls to Cobalt that book or correct, by what they made of the submission.",
    ["operation", "submission"],
    registry=REGISTRY,
)
sweeps = Counter(
    "appointments_sweeps",
    "Walks over an account's events at Cobalt, by how they ended: done or no_answer.",
    ["outcome"],
    registry=REGISTRY,
)
swept_events = Counter(
    "appointments_swept_events",
    "Events that such walks found and that no webhook had brought.",
    registry=REGISTRY,
)
preflight_refusals = Counter(
    "appointments_preflight_refusals",
    "Fields refused because the account's catalogue does not list what they name.",
    ["field"],
    registry=REGISTRY,
)
questions = Counter(
    "appointments_questions",
    "Questions to Cobalt about what was missed, by what came of them.",
    ["outcome"],
    registry=REGISTRY,
)
cobalt_seconds = Histogram(
    "appointments_cobalt_seconds",
    "Seconds that Cobalt took, by operation and outcome of the call.",
    ["operation", "outcome"],
    buckets=CALL,
    registry=REGISTRY,
)
reads = Counter(
    "appointments_reads",
    "Reads that may be slightly old, by the database that answered them.",
    ["database"],
    registry=REGISTRY,
)
contradictions = Counter(
    "appointments_contradictions",
    "Deliveries under the id of a known event, with another body; they are in quarantine.",
    ["source"],
    registry=REGISTRY,
)
database_faults = Counter(
    "appointments_database_faults",
    "Errors that say that the database is not as it should be, by SQLSTATE.",
    ["sqlstate"],
    registry=REGISTRY,
)
http_connections = Gauge(
    "appointments_http_connections",
    "Connections of clients that are open.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
http_connections_limit = Gauge(
    "appointments_http_connections_limit",
    "Connections of clients at most, as the settings and the descriptors of the processes allow.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
http_connections_closed = Counter(
    "appointments_http_connections_closed",
    "Connections that we closed: by the deadline that passed (first_byte, head, body, silence, send), or to make room "
    "(limit, bytes).",
    ["reason"],
    registry=REGISTRY,
)
connections_in_use = Gauge(
    "appointments_database_connections_in_use",
    "Connections to PostgreSQL in use, by pool.",
    ["pool"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
connections_limit = Gauge(
    "appointments_database_connections_limit",
    "Connections to PostgreSQL at most, by pool.",
    ["pool"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)


_deliveries = Counts(webhook_deliveries)
_delivery_seconds = Measures(webhook_seconds, PROMPT)
_loop_events = Counts(events)
_closed = Counts(http_connections_closed)
_batches: dict[str, Measures] = {}
_carrying = threading.Lock()


def webhook_answered(outcome: str, seconds: float) -> None:
    """Count a delivery; on the event loop only."""
    _deliveries.add(outcome)
    _delivery_seconds.add(seconds)


def connection_closed(reason: str) -> None:
    """Count a connection that we closed; on the event loop only."""
    _closed.add(reason)


def batch_applied(source: str, dispositions: Iterable[str]) -> None:
    """Count what became of a batch of events; on the event loop only."""
    for disposition in dispositions:
        _loop_events.add(source, disposition)


def batch_written(name: str, size: int) -> None:
    """Count a batch; on the event loop only."""
    if name not in _batches:
        _batches[name] = Measures(batch_size.labels(name), SIZES)
    _batches[name].add(size)


def event_decided(source: str, disposition: str) -> None:
    """Count what became of an event; from any thread."""
    events.labels(source, disposition).inc()


def database_faulted(sqlstate: str) -> None:
    """Count an error of the database itself; from any thread."""
    try:
        lookup(sqlstate)
    except KeyError:  # none of PostgreSQL's: whoever writes a trigger may make one up
        sqlstate = "other"
    database_faults.labels(sqlstate).inc()


def request_answered(route: str | None, method: str, status: int, seconds: float) -> None:
    """Count a request to the API.

    Args:
        route: The template, never the path itself; None when there is none.
        method: Whatever the request says.
        status: The answer's.
        seconds: How long it took.
    """
    known = method if method in METHODS else "other"
    count, duration = _of_request(route or "none", known, str(status))
    count.inc()
    duration.observe(seconds)


@cache
def _of_request(route: str, method: str, status: str) -> tuple[Counter, Histogram]:
    """Find the metrics of a kind of request; to find them costs more than to count."""
    return http_requests.labels(route, method, status), http_request_seconds.labels(route, method)


def carry_over() -> None:
    """Have everything that was counted so far be seen."""
    with _carrying:
        for counts in (_deliveries, _loop_events, _closed):
            counts.carry()
        for measures in (_delivery_seconds, *_batches.copy().values()):
            measures.carry()


def start(pools: Mapping[str, Engine]) -> Callable[[], None]:
    """Carry over, and look at the pools, from now on.

    Args:
        pools: Name -> pool of connections.

    Returns:
        What ends it, after a last time.
    """
    ending = threading.Event()

    def look() -> None:
        carry_over()
        for name, engine in pools.items():
            connections_in_use.labels(name).set(engine.pool.checkedout())  # type: ignore[attr-defined]
            connections_limit.labels(name).set(engine.pool.size())  # type: ignore[attr-defined]

    def run() -> None:
        while not ending.wait(CARRY_EVERY):
            try:
                look()
            except Exception:
                logger.exception("metrics broke")
                time.sleep(CARRY_EVERY)

    def end() -> None:
        ending.set()
        carry_over()

    threading.Thread(target=run, name="metrics", daemon=True).start()
    return end
