"""What was measured: one figure for each measurement and round, their medians, and ratios of medians' rounds."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from service.lab.bench.generator import Load


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measurement, or the medians of several.

    Attributes:
        name: what was measured.
        per_second: how many were answered in a second.
        p50: latency in milliseconds, as are the next three.
        refused: answers that were not 2xx, and connections that broke.
        costs: name -> what one of them cost, such as microseconds of processor time.
    """

    name: str
    per_second: float
    p50: float
    p95: float
    p99: float
    max: float
    refused: float = 0
    costs: Mapping[str, float] = field(default_factory=dict)


def figure_of(name: str, load: Load, costs: Mapping[str, float] | None = None) -> Figure:
    """What a load amounts to: only what was not refused counts as done."""
    return Figure(
        name=name,
        per_second=(load.answered - load.refused) / load.seconds,
        p50=load.p50,
        p95=load.p95,
        p99=load.p99,
        max=load.max,
        refused=load.refused + load.broken,
        costs=costs or {},
    )


class Board:
    """All figures, in the order in which their names first came."""

    def __init__(self) -> None:
        self.figures: dict[str, list[Figure]] = {}

    def add(self, figure: Figure) -> None:
        """Note a figure; the n-th of a name belongs to the n-th round."""
        self.figures.setdefault(figure.name, []).append(figure)

    def medians(self) -> list[Figure]:
        """One figure for each name: the median over the rounds, of each number by itself."""
        return [_median(name, figures) for name, figures in self.figures.items()]

    def ratio(self, name: str, of: str) -> float | None:
        """How fast one is as a part of another: the median over the rounds. None when one was not measured.

        Both were measured within a minute in each round, so a machine that slows down slows both.
        """
        pairs = zip(self.figures.get(name, []), self.figures.get(of, []), strict=False)
        ratios = [one.per_second / other.per_second for one, other in pairs if other.per_second]
        return statistics.median(ratios) if ratios else None

    def p95_ratio(self, name: str, of: str) -> float | None:
        """How long the slow answers of one take as a part of those of another, as ``ratio``."""
        pairs = zip(self.figures.get(name, []), self.figures.get(of, []), strict=False)
        ratios = [one.p95 / other.p95 for one, other in pairs if other.p95]
        return statistics.median(ratios) if ratios else None


def _median(name: str, figures: Sequence[Figure]) -> Figure:
    def middle(values: Iterable[float]) -> float:
        return statistics.median(values)

    return Figure(
        name=name,
        per_second=middle(one.per_second for one in figures),
        p50=middle(one.p50 for one in figures),
        p95=middle(one.p95 for one in figures),
        p99=middle(one.p99 for one in figures),
        max=middle(one.max for one in figures),
        refused=sum(one.refused for one in figures),
        costs={cost: middle(one.costs[cost] for one in figures if cost in one.costs) for cost in figures[0].costs},
    )
