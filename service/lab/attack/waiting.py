"""Waits for what should come."""

import time
from collections.abc import Callable

INTERVAL = 0.02  # seconds between looks


def seconds_until(condition: Callable[[], bool], most: float) -> float | None:
    """Wait until it is so; returns how many seconds that took, or None after `most` of them."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > most:
            return None
        time.sleep(INTERVAL)
    return time.monotonic() - began


def in_words(seconds: float | None, most: float) -> str:
    """Say what `seconds_until` found."""
    return f"not within {most:g} s" if seconds is None else f"after {seconds:.1f} s"
