"""GET /metrics: what all processes of this server counted, and how things stand."""

from __future__ import annotations

import platform
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLateError
from contextlib import suppress
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from service.errors import DatabaseUnavailableError, SpoolUnavailableError
from service.postgres.engine import autocommit
from service.postgres.queries import gauges
from service.telemetry import log, metric_files, metrics
from service.web.openapi.arguments import Blueprint
from service.web.services import services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.typing import ResponseReturnValue
    from prometheus_client import Metric
    from sqlalchemy import Engine

    from service.postgres.queries.gauges import Standing
    from service.postgres.replica import Replica
    from service.spool import Spool

MEASURE_EVERY = 5.0
"""Seconds: however many scrape, the database is asked no more often, by each process."""
STALE_AFTER = 30.0
"""Seconds after which old figures are worse than none."""
SCRAPE_TIMEOUT = 1.0
"""Seconds that a scrape waits for the database; afterwards it goes without."""

logger = log.get_logger(__name__)

blueprint = Blueprint("monitoring", __name__, description="For Prometheus")


@blueprint.route("/metrics")
@blueprint.response(
    HTTPStatus.OK,
    {"type": "string"},
    content_type="text/plain",
    description="The text format of Prometheus",
    example='appointments_by_status{status="failed"} 3.0\n',
)
@blueprint.doc(operationId="getMetrics")
def show_metrics() -> ResponseReturnValue:
    """Scrape the metrics.

    Of all processes of this server together; without any id, name or value of a patient's. docs/metrics.md says
    what each means.
    """
    metrics.carry_over()
    registry = CollectorRegistry()
    registry.register(services().standing)
    counted = metrics.REGISTRY
    if metric_files.find_directory() is None:
        content = generate_latest(counted)
    else:
        counted = CollectorRegistry()
        with metric_files.reading():
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
            content = generate_latest(counted)
    return Response(content + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class StandingCollector:
    """Collects how things stand: in the database, on the disk, in the build.

    Args:
        engine: A pool of its own, short of time.
        spool: The spool.
        replica: Where there is one.
    """

    def __init__(self, engine: Engine, spool: Spool, replica: Replica | None) -> None:
        self._engine = engine
        self._spool = spool
        self._replica = replica
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="standing")
        self._lock = threading.Lock()
        self._asked: Future[Standing] | None = None
        self._asked_at = 0.0
        self._known: tuple[Standing, float] | None = None

    def collect(self) -> Iterator[Metric]:
        """Collect it all; what cannot be had is left out."""
        yield _gauge("appointments_build_info", "Always 1; the labels say what runs.", 1, _build())
        yield from self._collect_spool()
        if self._replica is not None:
            yield _gauge(
                "appointments_replica_usable", "Whether the replica could be used when last asked.",
                self._replica.in_use,
            )  # fmt: skip
        found = self._find_standing()
        yield _gauge("appointments_database_answers", "Whether PostgreSQL told how things stand.", found is not None)
        if found is not None:
            yield from _collect_standing(found)

    def _collect_spool(self) -> Iterator[Metric]:
        with suppress(SpoolUnavailableError):
            depth, size = self._spool.depth(), self._spool.size()
            yield _gauge("appointments_spool_events", "Events that wait on this host's disk.", depth.count)
            yield _gauge("appointments_spool_bytes", "Bytes that the spool takes on the disk.", size)
            yield _gauge(
                "appointments_spool_damaged",
                "Records of the spool that were damaged, and damaged files; either was set aside.",
                depth.damaged,
            )
            oldest = 0.0 if depth.oldest is None else max(0.0, time.time() - depth.oldest.timestamp())
            yield _gauge("appointments_spool_oldest_seconds", "Age of the event that waits longest there.", oldest)

    def _find_standing(self) -> Standing | None:
        """Find how things stand in the database: now, or a moment ago; None when it does not tell."""
        with self._lock:
            if self._asked is None and time.monotonic() - self._asked_at >= MEASURE_EVERY:
                self._asked, self._asked_at = self._thread.submit(self._measure), time.monotonic()
            asked = self._asked
        if asked is not None:
            with suppress(DatabaseUnavailableError, TooLateError):
                found = asked.result(SCRAPE_TIMEOUT)
                self._known = (found, time.monotonic())
            with self._lock:
                if self._asked is asked and asked.done():
                    self._asked = None
        known = self._known
        return known[0] if known is not None and time.monotonic() - known[1] < STALE_AFTER else None

    def _measure(self) -> Standing:
        with autocommit(self._engine) as connection:
            return gauges.measure(connection)


def _collect_standing(found: Standing) -> Iterator[Metric]:
    family = GaugeMetricFamily("appointments_by_status", "Appointments, by status.", labels=["status"])
    for status, number in sorted(found.by_status.items()):
        family.add_metric([status], number)
    yield family
    codes = GaugeMetricFamily(
        "appointments_failed_by_code",
        "Appointments that have failed, by Cobalt's code; 50 codes at most, and the others as other.",
        labels=["code"],
    )
    for code, number in found.by_code.items():
        codes.add_metric([code], number)
    yield codes
    held = GaugeMetricFamily(
        "appointments_accounts_held", "Accounts for which nothing is sent, by their health.", labels=["health"]
    )
    for health, number in sorted(found.held_accounts.items()):
        held.add_metric([health], number)
    yield held
    yield _gauge(
        "appointments_oldest_processing_seconds", "Age of the oldest request that processes.", found.oldest_processing
    )
    yield _gauge(
        "appointments_unconfirmed", "Submissions of which nobody knows whether Cobalt took them.", found.unconfirmed
    )
    yield _gauge(
        "appointments_unmatched_events",
        "Events whose appointment is not known here; those of the clinics' own staff stay.",
        found.unmatched,
    )
    yield _gauge(
        "appointments_events_of_other_accounts",
        "Events that name an appointment of another account, and wait for a person.",
        found.of_other_accounts,
    )
    yield _gauge(
        "appointments_quarantined",
        "Authentic webhooks that could not be taken, and that nobody has replayed or dismissed.",
        found.quarantined,
    )
    yield _gauge(
        "appointments_accepted_late",
        "Calls that Cobalt took, when the appointment had moved on: each may be a second booking.",
        found.accepted_late,
    )


def _gauge(name: str, text: str, value: float, labels: dict[str, str] | None = None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=list(labels or {}))
    family.add_metric(list((labels or {}).values()), float(value))
    return family


def _build() -> dict[str, str]:
    return {"version": version("cobalt-appointments"), "python": platform.python_version()}
