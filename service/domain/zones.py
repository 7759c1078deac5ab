"""Owns the names of time zones: which there are, and which one a name means that somebody else wrote."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

from service.domain.comparing import comparable_name

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_ZONES = frozenset({"Factory"})
"""In IANA's list, and of a clock that nobody has set."""


def is_zone(name: str) -> bool:
    """Tell whether this is an IANA name of a zone, written as IANA writes it.

    By IANA's list, and not by the files of a machine, among which are ``localtime``, ``posixrules`` and ``right/...``.
    """
    return name in _names().values()


@lru_cache(maxsize=512)  # some 400 zones are in use; unknown names are kept too
def find_zone(name: str | None) -> ZoneInfo | None:
    """Find a zone by its IANA or its Windows name, in any letter case; None for a name that is none."""
    found = _names().get(_plain(name)) if name else None
    return ZoneInfo(found) if found else None


@lru_cache(maxsize=1)
def _names() -> Mapping[str, str]:
    """Map every name, as ``_plain`` writes it, to the one by which IANA's data is found."""
    iana = (resources.files("tzdata") / "zones").read_text(encoding="ascii").split()
    windows = {_plain(name): zone for name, zone in win_tz.items()}
    return windows | {_plain(name): name for name in iana if name not in NO_ZONES}


def _plain(name: str) -> str:
    return comparable_name(name).replace(" ", "_")
