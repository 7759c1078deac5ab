"""What the figures mean: the ratios that are asked for, which must not be missed, and which were hoped for."""

from dataclasses import dataclass

from service.lab.bench.course import Outcome
from service.lab.bench.growth import name_at
from service.lab.bench.plan import (
    CHANGES,
    DEEP,
    FILTERED,
    FLOORS,
    LIST,
    NEW,
    READ,
    STATS,
    TARGET_GROWTH,
    TARGET_P95_GROWTH,
    TARGET_P99,
    TARGETS,
    Plan,
)


@dataclass(frozen=True)
class Aim:
    """One number and what it is to be.

    Attributes:
        required: whether the benchmark fails when it is not met.
    """

    text: str
    value: float
    bound: float
    met: bool
    required: bool


def aims(plan: Plan, outcome: Outcome) -> list[Aim]:
    """Compare what was measured with what it is to be; what was not measured is left out."""
    return [*_ratios(plan, outcome), *_waits(outcome), *_growth(plan, outcome), _refused(outcome)]


def _ratios(plan: Plan, outcome: Outcome) -> list[Aim]:
    found = []
    for (name, of), bound in (FLOORS if plan.smoke else TARGETS).items():
        ratio = outcome.board.ratio(name, of)
        if ratio is not None:
            found.append(Aim(f"{name} / {of}", ratio, bound, ratio >= bound, plan.smoke))
    return found


def _waits(outcome: Outcome) -> list[Aim]:
    return [
        Aim(f"{one.name}: p99 in ms, under", one.p99, TARGET_P99, one.p99 < TARGET_P99, required=False)
        for one in outcome.board.medians()
        if one.name == NEW
    ]


def _growth(plan: Plan, outcome: Outcome) -> list[Aim]:
    found = []
    smallest, largest = plan.sizes[0], plan.sizes[-1]
    for name in (NEW, READ, LIST):
        ratio = outcome.board.ratio(name_at(name, smallest), name_at(name, largest))
        if ratio is not None:
            text = f"{name}: {smallest:,} / {largest:,}, at most"
            found.append(Aim(text, ratio, TARGET_GROWTH, ratio <= TARGET_GROWTH, required=False))
    for name in (READ, LIST, FILTERED, DEEP, STATS, CHANGES):
        ratio = outcome.board.p95_ratio(name_at(name, largest), name_at(name, smallest))
        if ratio is not None:
            text = f"{name}: p95, {largest:,} / {smallest:,}, at most"
            found.append(Aim(text, ratio, TARGET_P95_GROWTH, ratio <= TARGET_P95_GROWTH, required=False))
    return found


def _refused(outcome: Outcome) -> Aim:
    # Bounded back-pressure is right, but so few connections should not meet it.
    count = sum(one.refused for one in outcome.board.medians())
    return Aim("answers that were not 2xx, and broken connections", count, 0, count == 0, required=False)
