"""What one benchmark measures, how often and for how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PARTS = ("limits", "intake", "submission", "reads", "cost", "growth")
USUAL = (
    "limits",
    "intake",
    "submission",
    "reads",
    "cost",
)  # growth loads millions of rows first: it is asked for by name
TIMES_AS_MANY = (1, 10, 100)  # databases of so many times the appointments, for growth

INSERTED = "pgbench: an event inserted"
PGBENCH = "pgbench: inserted, and its appointment settled"
PGBENCH_PLAIN = "pgbench: the same, not prepared, as is its default"
EMPTY = "empty gunicorn + Flask"
NEW = "new events"
DUPLICATES = "duplicates"
HOT = "one hot appointment"
UNMATCHED = "unmatched events"
POST = "POST /v1/appointments"
WORKER = "worker: queued to accepted"
READ = "GET /v1/appointments/{id}"
LIST = "GET /v1/appointments, 50"
FILTERED = "GET /v1/appointments, filters"
DEEP = "GET /v1/appointments, far pages"
STATS = "GET /v1/stats"
CHANGES = "GET /v1/changes, 50"

# What a change must not bring it under, as parts of a limit in the same run: a fraction of what it is on a quiet
# machine, for it has to hold while other tests run beside it.
FLOORS: Mapping[tuple[str, str], float] = {
    (NEW, PGBENCH): 0.06,
    (NEW, EMPTY): 0.1,
    (DUPLICATES, EMPTY): 0.3,
    (READ, EMPTY): 0.03,
}
# What the service wants to reach on a quiet machine.
TARGETS: Mapping[tuple[str, str], float] = {
    (NEW, PGBENCH): 0.45,
    (NEW, PGBENCH_PLAIN): 0.45,
    (NEW, EMPTY): 0.7,
    (DUPLICATES, NEW): 1.0,
}
TARGET_P99 = 60.0  # milliseconds, of new events
TARGET_GROWTH = 1.3  # the smallest size is at most so many times as fast as the largest
TARGET_P95_GROWTH = 1.5  # the p95 of what dashboards ask for, at the largest size, as parts of that at the smallest


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One benchmark.

    Attributes:
        parts: of `PARTS`.
        rounds: how often everything is measured; the medians count.
        seconds: for how long each time.
        connections: how many at once.
        appointments: how many are there from the start, settled, each with two events; for growth, in the
            smallest database.
        smoke: only what `FLOORS` names, and failing when one is missed.
        env: further environment of the web instances and the worker.
    """

    parts: Sequence[str] = USUAL
    rounds: int = 3
    seconds: int = 8
    connections: int = 32
    appointments: int = 20_000
    smoke: bool = False
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> Sequence[int]:
        """How many appointments each database has."""
        times = TIMES_AS_MANY if "growth" in self.parts else (1,)
        return [self.appointments * number for number in times]


def make_plan(
    *,
    parts: str | None = None,
    rounds: int | None = None,
    seconds: int | None = None,
    connections: int = 32,
    appointments: int | None = None,
    smoke: bool = False,
    env: Mapping[str, str] | None = None,
) -> Plan:
    """Make a plan.

    Args:
        parts: names separated by commas; the usual ones if None.
        rounds: 3 if None.
        seconds: 8, in the short form 1, if None.
        connections: how many at once.
        appointments: 20,000, in the short form 2,000, if None.
        smoke: the short form.
        env: further environment of the web instances and the worker.

    Raises:
        ValueError: There is no such part, or growth is to go with others.
    """
    chosen = tuple(part.strip() for part in parts.split(",")) if parts else USUAL
    for part in chosen:
        if part not in PARTS:
            raise ValueError(f"{part!r} is not a part; use some of: {', '.join(PARTS)}")
    if "growth" in chosen and len(chosen) > 1:
        raise ValueError("growth has databases of its own: it is measured alone")
    return Plan(
        parts=("limits", "intake", "reads") if smoke else chosen,
        rounds=rounds or 3,
        seconds=seconds or (1 if smoke else 8),
        connections=connections,
        appointments=appointments or (2000 if smoke else 20_000),
        smoke=smoke,
        env=env or {},
    )
