"""Ids that we give out: a prefix that says whose they are, then a ULID, so that they sort by time."""

from ulid import ULID


def new_id(prefix: str) -> str:
    """Make an id like ``appt_01JD...``; ids made later sort later, to the millisecond."""
    return f"{prefix}_{ULID()}"
