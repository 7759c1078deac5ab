"""What an account's EHR knows, by Cobalt's catalogue, and whether a request names something else.

Cobalt publishes providers, locations and visit types of each account [P]. A create names a provider or a location by
its ``ehr_id``, and a visit type by its code.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.domain.comparing import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

KINDS = ("providers", "locations", "visit_types")
"""What a catalogue lists."""
FIELDS = {"provider": "providers", "secondary_provider": "providers", "location": "locations", "type": "visit_types"}
"""Which of Cobalt's create fields names an entry of which list."""
NEAREST = 3
"""How many entries are suggested."""
ALIKE = 0.6


@dataclass(frozen=True, slots=True)
class Entry:
    """One provider, location or visit type.

    Args:
        id: What a create names it by.
        name: In words; None where Cobalt gives none.
        cobalt_id: Cobalt's own id, which a create must not use; None where there is none.
    """

    id: str
    name: str | None = None
    cobalt_id: str | None = None

    def __str__(self) -> str:
        return f'"{self.id}" ({self.name})' if self.name and self.name != self.id else f'"{self.id}"'


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The lists of one account.

    Args:
        entries: Each of ``KINDS`` -> its entries. One without entries judges nothing.
        fetched_at: When Cobalt was asked, on our clock.
    """

    entries: Mapping[str, Sequence[Entry]]
    fetched_at: datetime


def read_entries(kind: str, listed: Iterable[object]) -> list[Entry]:
    """Read one of Cobalt's lists; what has no id is left out.

    Args:
        kind: One of ``KINDS``.
        listed: Objects with ``ehr_id``, ``id`` and ``name``; for visit types objects with ``code`` and
            ``description``, or only the codes [P].
    """
    return list({entry.id: entry for one in listed if (entry := _entry(kind, one))}.values())


def find_unknown(catalogue: Catalogue, fields: Mapping[str, Any]) -> dict[str, str]:
    """Find the fields of a request that name something the catalogue does not list.

    Returns:
        JSON pointer of the field -> what is wrong, with the nearest entries, and without the value.
    """
    return dict(_unknown(catalogue, fields))


def _unknown(catalogue: Catalogue, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field, kind in FIELDS.items():
        value, entries = fields.get(field), catalogue.entries.get(kind)
        if value is None or not entries:
            continue
        wanted = comparable(str(value))
        if not any(_names(entry, kind, wanted) for entry in entries):
            listed = kind.replace("_", " ")
            detail = f"is not among the account's {listed} at {catalogue.fetched_at:%Y-%m-%dT%H:%M:%SZ}"
            nearest = ", ".join(map(str, _nearest(entries, wanted)))
            advice = f"; nearest: {nearest}" if nearest else f"; there are {len(entries)}, see the account's catalogue"
            yield f"/{field}", detail + advice


def _names(entry: Entry, kind: str, wanted: str) -> bool:
    """Tell whether a value names an entry. A visit type may be named in words, as it is in Cobalt's failure reasons."""
    return comparable(entry.id) == wanted or (
        kind == "visit_types" and entry.name is not None and comparable(entry.name) == wanted
    )


def _nearest(entries: Sequence[Entry], wanted: str) -> list[Entry]:
    """Find what was probably meant: an entry of that name or Cobalt id, else those spelt most alike."""
    wanted = wanted.casefold()
    meant = [one for one in entries if wanted in {_folded(text) for text in (one.id, one.name, one.cobalt_id) if text}]
    if meant:
        return meant[:NEAREST]
    spellings = {_folded(text): one for one in reversed(entries) for text in (one.id, one.name) if text}
    alike = difflib.get_close_matches(wanted, spellings, n=2 * NEAREST, cutoff=ALIKE)
    return list({spellings[one].id: spellings[one] for one in alike}.values())[:NEAREST]


def _folded(text: str) -> str:
    return comparable(text).casefold()


def _entry(kind: str, one: object) -> Entry | None:
    if isinstance(one, str | int) and not isinstance(one, bool):
        one = {"code": one}
    if not isinstance(one, dict):
        return None
    key, name = ("code", "description") if kind == "visit_types" else ("ehr_id", "name")
    found = _text(one.get(key))
    return Entry(found, _text(one.get(name)), _text(one.get("id"))) if found else None


def _text(value: object) -> str | None:
    """Return an id or a name as text; Cobalt writes some ids as numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).replace("\0", "").strip() or None
