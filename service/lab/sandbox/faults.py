"""What goes wrong on purpose: how often, and each time the same under one seed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

RATES = {
    "webhook_before_reply": "the webhook comes before the reply to the create",
    "duplicate_webhook": "the same event is sent twice",
    "reorder_webhook": "an event is held back until later ones have gone out",
    "lose_webhook": "the event is never sent; it can still be asked for",
    "lose_reply": "the call does its work, then the connection is cut without an answer",
    "error_429": "the call is refused with Retry-After: 1; nothing is booked",
    "error_500": "the call is answered 500, in half of the cases after doing its work",
    "foreign_events": "a booking comes with one that staff made by hand and nobody here submitted",
    "events_unavailable": "a look at the list of events is answered 503",
}


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The rates, 0 to 1, and `delay`: the seconds from a call to its webhook, give or take a half."""

    delay: float = 0.3
    webhook_before_reply: float = 0
    duplicate_webhook: float = 0
    reorder_webhook: float = 0
    lose_webhook: float = 0
    lose_reply: float = 0
    error_429: float = 0
    error_500: float = 0
    foreign_events: float = 0
    events_unavailable: float = 0

    def changed(self, changes: Mapping[object, object]) -> "Faults":
        """These faults with some of them changed.

        Raises:
            ValueError: an unknown name, or a value out of range.
        """
        numbers = {}
        for name, value in changes.items():
            if name != "delay" and name not in RATES:
                raise ValueError(f"there is no fault named {name}")
            highest = 3600 if name == "delay" else 1
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
                raise ValueError(f"{name} must be a number from 0 to {highest}")
            numbers[str(name)] = float(value)
        return replace(self, **numbers)


class Chance:
    """Draws that depend on the seed and on what they are drawn for, and on nothing else.

    A shared random generator would make every draw depend on the order in which threads come by.
    `faults` may be replaced while the sandbox runs.
    """

    def __init__(self, seed: str, faults: Faults) -> None:
        self._seed = seed
        self.faults = faults

    def draw(self, *drawn_for: object) -> float:
        """A number from 0 up to 1, always the same one for the same thing."""
        text = "/".join(map(str, (self._seed, *drawn_for)))
        digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
        return int.from_bytes(digest) / 2**56

    def strikes(self, fault: str, *drawn_for: object) -> bool:
        """Whether this fault happens to this thing."""
        rate: float = getattr(self.faults, fault)
        return rate > 0 and self.draw(fault, *drawn_for) < rate

    def delay(self, *drawn_for: object) -> float:
        """Seconds until the webhook: the delay, give or take a half."""
        return self.faults.delay * (0.5 + self.draw("delay", *drawn_for))
