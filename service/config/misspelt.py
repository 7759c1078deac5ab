"""Finds names in the environment that were meant to be settings: a misspelt one would be ignored without a word."""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import TYPE_CHECKING

from service.config import Settings
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

logger = log.get_logger(__name__)

PREFIXES = ("COBALT_", "INTAKE_", "SPOOL_")
"""What begins so is for nobody else."""
ALIKE = 0.85
"""One slip in a name of seven letters, two in one of thirteen; what others call their own differs by more."""
ALIKE_IN_PREFIX = 0.6


def find_misspelt(environment: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Find names that are no settings, and look as if they should be.

    Args:
        environment: The names in it. Values are nobody's business here.

    Yields:
        Each with the setting that is nearest, if any is near.
    """
    names = [setting.name.upper() for setting in fields(Settings)]
    known = {*names, *(f"{name}_FILE" for name in names)}
    for name in sorted(set(environment) - known):
        ours = name.startswith(PREFIXES)
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=ALIKE_IN_PREFIX if ours else ALIKE)
        if near or ours:
            yield name, near[0] if near else None


def log_misspelt(environment: Iterable[str]) -> None:
    """Say of each that it is ignored, in the log."""
    for name, meant in find_misspelt(environment):
        logger.warning("this name in the environment is no setting", setting=name, nearest=meant)
