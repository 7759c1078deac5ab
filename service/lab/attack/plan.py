"""What one run attacks, how hard and for how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PARTS = (
    "floods",
    "bodies",
    "slow",
    "framing",
    "descriptors",
    "leaks",
    "cobalts",
    "events",
    "guessing",
    "logs",
    "soak",
)
USUAL = tuple(part for part in PARTS if part != "soak")  # takes an hour: it is asked for by name

# The short form waits for every deadline to pass: seconds.
SHORT_DEADLINES = {
    "FIRST_BYTE_TIMEOUT": "1",
    "HEAD_TIMEOUT": "1.5",
    "BODY_TIMEOUT": "1.5",
    "KEEPALIVE_TIMEOUT": "2",
    "SEND_TIMEOUT": "2",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        parts: of `PARTS`, in their order.
        short: the form of half a minute, with short deadlines and small numbers.
        connections: how many silent and slow ones at once.
        minutes: of mixed load, for the part `soak`.
        env: further environment of the web processes and the worker.
    """

    parts: Sequence[str] = USUAL
    short: bool = False
    connections: int = 3000
    minutes: float = 60
    env: Mapping[str, str] = field(default_factory=dict)

    def either(self, short: float, long: float) -> float:
        """A number of the short form or of the long one."""
        return short if self.short else long


def make_plan(
    *,
    only: str | None = None,
    short: bool = False,
    connections: int | None = None,
    minutes: float | None = None,
    env: Mapping[str, str] | None = None,
) -> Plan:
    """Make a plan.

    Args:
        only: names of parts separated by commas; the usual ones if None.
        short: the form of half a minute.
        connections: 3,000, in the short form 300, if None.
        minutes: an hour if None.
        env: further environment of the web processes and the worker.

    Raises:
        ValueError: there is no such part.
    """
    asked = {part.strip() for part in only.split(",")} if only else set(USUAL)
    for part in asked:
        if part not in PARTS:
            raise ValueError(f"{part!r} is not a part; use some of: {', '.join(PARTS)}")
    return Plan(
        parts=[part for part in PARTS if part in asked],
        short=short,
        connections=connections or (300 if short else 3000),
        minutes=minutes or 60,
        env=env or {},
    )
