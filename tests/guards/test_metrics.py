"""docs/metrics.md lists every metric that there is, as it is, and no label may hold an identifier."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from service.postgres.queries.gauges import Standing
from service.spool import Spool
from service.telemetry import metrics
from service.web.views import metrics as page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

DOCS = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
# Each has a short list of values, which stands in the code; but for `code`, of which there are 50 at most.
LABELS = {
    *("route", "method", "status", "outcome", "source", "disposition", "batch", "operation", "submission"),
    *("database", "field", "pool", "reason", "version", "python", "sqlstate", "code", "health"),
}


class Stopped(page.StandingCollector):
    """A collector that needs no database."""

    def _find_standing(self) -> Standing:
        return Standing(
            {"created": 1, "failed": 2, "processing": 3}, {"PATIENT_NOT_FOUND": 1}, 4.0, 5, 6, 7, 8, 9, {"held": 1}
        )


def collected(tmp_path: Path) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    for collector in metrics.REGISTRY._collector_to_names:  # noqa: SLF001 (no other way to list them)
        described: Any = collector
        (family,) = described.describe()
        yield family, tuple(described._labelnames)  # noqa: SLF001
    nothing: Any = None
    replica: Any = SimpleNamespace(in_use=True)
    for family in Stopped(nothing, Spool(tmp_path, max_bytes=10**6), replica).collect():
        yield family, tuple(family.samples[0].labels)


def test_every_metric_is_listed_as_it_is_and_no_other(tmp_path: Path) -> None:
    declared = {
        (
            f"`{family.name}`",
            family.type,
            ", ".join(f"`{label}`" for label in labels),
            family.documentation,
        )
        for family, labels in collected(tmp_path)
    }
    listed = {
        tuple(cell.strip() for cell in line.strip("|").split(" | "))
        for line in DOCS.splitlines()
        if line.startswith("| `appointments_")
    }
    assert listed == declared


def test_every_metric_that_is_asked_for_in_an_example_exists(tmp_path: Path) -> None:
    names = {family.name for family, _ in collected(tmp_path)}
    asked = set(re.findall(r"\bappointments_\w+", DOCS.partition("## What to watch")[2]))
    assert asked
    assert {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in asked} <= names


def test_every_label_is_known_and_says_what_and_not_whose(tmp_path: Path) -> None:
    used = {label for _, labels in collected(tmp_path) for label in labels}
    assert used == LABELS
