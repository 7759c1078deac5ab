"""What one drill does: how many appointments, which faults, and when each of them strikes, all from one seed."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from service.lab.drill import blackout as day

# Cobalt's own faults: the sandbox's name for each, and how often it happens. Often enough that every kind, and
# many pairs of them, occur among some thousand appointments; rare enough that most calls still get through.
COBALT_FAULTS: Mapping[str, tuple[str, float]] = {
    "duplicates": ("duplicate_webhook", 0.1),
    "reordering": ("reorder_webhook", 0.1),
    "lost-webhooks": ("lose_webhook", 0.05),
    "early-webhooks": ("webhook_before_reply", 0.1),
    "lost-replies": ("lose_reply", 0.03),
    "5xx": ("error_500", 0.03),
    "429": ("error_429", 0.005),  # each one pauses the account for a second, and the drill has only one account
    "staff": ("foreign_events", 0.02),
}
# What happens to our own machines: how often in a full drill. A short one has most of them, once.
OUTAGES: Mapping[str, int] = {
    "postgres-kill": 4,
    "postgres-freeze": 4,
    "disk-full": 4,
    "web-kill": 6,
    "worker-kill": 6,
    "racing-webhooks": 3,
}
# What a killed worker was doing is believed to be under way until its lease ends, more than half a minute later.
ONLY_IN_FULL = ("worker-kill",)
SLOW_DISK = "slow-disk"
SLOW_DISK_MS = 20.0  # each commit waits so long, so that what races has the time to
FAULTS = (*COBALT_FAULTS, *OUTAGES, SLOW_DISK)

INSTANCES = 2  # of web and worker each

SHORT_APPOINTMENTS, FULL_APPOINTMENTS = 200, 3000
SHORT_SECONDS, FULL_SECONDS = 9.0, 120.0
SHORT_PATIENCE, FULL_PATIENCE = 60.0, 150.0
# Seconds from a call to its webhook, give or take a half: so long that an outage meets some of those on their way.
SHORT_DELAY, FULL_DELAY = 1.5, 3.0
SHORT_DAY, FULL_DAY = 24.0, 144.0  # seconds that stand for the 24 hours of a blackout


@dataclass(frozen=True, order=True)
class Window:
    """One fault of our own machines.

    Attributes:
        at: seconds after the first appointment.
        seconds: how long it lasts; a killed process stays away for so long.
        fault: one of `OUTAGES`.
        target: which instance, from 0.
    """

    at: float
    seconds: float
    fault: str
    target: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One drill.

    Attributes:
        seed: decides everything that is drawn.
        faults: name -> how often: a rate for Cobalt's, a number for outages, milliseconds for the slow disk.
        appointments: how many are asked for.
        seconds: over which they are asked for, and in which the faults strike.
        patience: seconds for everything to settle afterwards.
        short: the settings for a drill of seconds: fewer processes, shorter intervals.
        blackout: a day without webhooks, in place of the usual outages.
        env: further environment of web instances and workers.
    """

    seed: int
    faults: Mapping[str, float]
    appointments: int
    seconds: float
    patience: float
    short: bool = False
    blackout: bool = False
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def sandbox_rates(self) -> dict[str, float]:
        """The sandbox's names of the faults chosen -> how often."""
        return {name: self.faults[fault] for fault, (name, _) in COBALT_FAULTS.items() if fault in self.faults}

    @property
    def delay(self) -> float:
        """Seconds from a call to Cobalt to its webhook, give or take a half."""
        if self.blackout:
            return day.robots_delay(self.seconds)
        return SHORT_DELAY if self.short else FULL_DELAY

    def count(self, fault: str) -> int:
        """How often an outage strikes."""
        return round(self.faults.get(fault, 0))


def make_plan(
    *,
    seed: int | None = None,
    faults: str = "all",
    short: bool = False,
    blackout: bool = False,
    appointments: int | None = None,
    seconds: float | None = None,
    patience: float | None = None,
    env: Mapping[str, str] | None = None,
) -> Plan:
    """A drill as it was asked for; what is not given is as usual in the short form or the full one.

    Raises:
        ValueError: there is no such fault.
    """
    usual_seconds = (SHORT_DAY if short else FULL_DAY) if blackout else SHORT_SECONDS if short else FULL_SECONDS
    return Plan(
        seed=random.SystemRandom().randrange(1_000_000) if seed is None else seed,
        faults=day.FAULTS if blackout and faults == "all" else read_faults(faults, short=short),
        appointments=appointments or (SHORT_APPOINTMENTS if short else FULL_APPOINTMENTS),
        seconds=seconds or usual_seconds,
        patience=patience or (SHORT_PATIENCE if short else FULL_PATIENCE),
        short=short,
        blackout=blackout,
        env=env or {},
    )


def read_faults(text: str, *, short: bool) -> dict[str, float]:
    """Read `all`, `none`, or names separated by commas, each with `=NUMBER` if it should not be as usual.

    Raises:
        ValueError: there is no such fault, or the number is none.
    """
    usual = {fault: rate for fault, (_, rate) in COBALT_FAULTS.items()}
    usual |= {fault: 1.0 if short else float(count) for fault, count in OUTAGES.items()}
    usual[SLOW_DISK] = SLOW_DISK_MS
    if text == "all":
        return {fault: number for fault, number in usual.items() if not (short and fault in ONLY_IN_FULL)}
    chosen = {}
    for part in text.split(",") if text not in {"", "none"} else []:
        name, _, number = part.strip().partition("=")
        if name not in usual:
            raise ValueError(f"there is no fault named {name!r}; there are: {', '.join(FAULTS)}")
        chosen[name] = float(number) if number else usual[name]
        if not 0 <= chosen[name] <= (1 if name in COBALT_FAULTS else 1000):
            raise ValueError(f"{name}={number} is out of range")
    return chosen


def schedule(plan: Plan) -> list[Window]:
    """When each outage strikes.

    PostgreSQL is away from time to time, killed or frozen, never both at once. Half of the web's kills and
    every full disk fall into such a time, because that is when there is something on the disk to lose.
    """
    draw = random.Random(plan.seed)  # noqa: S311  a schedule, not a secret
    away = _away(plan, draw)
    # Each outage has its turn before one has a second. The earliest comes first: later the spool has room of its
    # own from the last time, and a full disk means less to it.
    turns = itertools.cycle([*away[:1], *draw.sample(away[1:], max(0, len(away) - 1))] or [None])
    windows = [*away]
    windows += [_full_disk(next(turns), plan, draw) for _ in range(plan.count("disk-full"))]
    for number in range(plan.count("web-kill")):
        windows.append(_kill("web-kill", next(turns) if number % 2 == 0 else None, plan, draw))
    windows += [_kill("worker-kill", None, plan, draw) for _ in range(plan.count("worker-kill"))]
    windows += [_race(number, plan, draw) for number in range(plan.count("racing-webhooks"))]
    if plan.blackout:
        shares = {"workers-stopped": day.WORKERS_STOPPED, "list-down": day.LIST_DOWN}
        windows += [Window(at * plan.seconds, length * plan.seconds, fault) for fault, (at, length) in shares.items()]
    return sorted(windows)


def _away(plan: Plan, draw: random.Random) -> list[Window]:
    """PostgreSQL's outages: each in a slot of its own, so that it is back before the next."""
    faults = [fault for fault in ("postgres-kill", "postgres-freeze") for _ in range(plan.count(fault))]
    draw.shuffle(faults)
    first, last = 0.1 * plan.seconds, 0.9 * plan.seconds
    slot = (last - first) / max(1, len(faults))
    windows = []
    for number, fault in enumerate(faults):
        seconds = min(draw.uniform(3, 8), 0.55 * slot)
        windows.append(Window(first + number * slot + draw.uniform(0, 0.2 * slot), seconds, fault))
    return windows


def _full_disk(outage: Window | None, plan: Plan, draw: random.Random) -> Window:
    if outage is None:
        return Window(draw.uniform(0.1, 0.7) * plan.seconds, 0.1 * plan.seconds, "disk-full")
    return Window(outage.at + draw.uniform(0.15, 0.3) * outage.seconds, 0.4 * outage.seconds, "disk-full")


def _kill(fault: str, outage: Window | None, plan: Plan, draw: random.Random) -> Window:
    away, target = draw.uniform(0.3, 2), draw.randrange(INSTANCES)
    if outage is None:
        return Window(draw.uniform(0.1, 0.9) * plan.seconds, away, fault, target)
    return Window(outage.at + draw.uniform(0.5, 0.9) * outage.seconds, away, fault, target)


def _race(number: int, plan: Plan, draw: random.Random) -> Window:
    length = plan.seconds / plan.count("racing-webhooks")
    return Window((number + draw.uniform(0, 0.3)) * length, 0.5 * length, "racing-webhooks")
