"""What an attack found."""

from dataclasses import dataclass

MB = 1024 * 1024

SLOWEST_ANSWER = 2.0
"""Seconds in which an honest webhook is answered, whatever goes on beside it; what Cobalt's retry waits."""
MOST_GROWTH = 60.0
"""Megabytes of resident memory that the processes of one kind may gain together during an attack."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the report.

    Attributes:
        tried: the attack.
        came: what was seen.
        limit: what must be seen for it not to hurt.
        hurts: whether it did; None when it could not be tried.
    """

    tried: str
    came: str
    limit: str
    hurts: bool | None

    @property
    def verdict(self) -> str:
        """In a word or two."""
        return "not tried" if self.hurts is None else "HURTS" if self.hurts else "holds"
