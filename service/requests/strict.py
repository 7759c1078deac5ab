"""The schema from which all that read input are made: what it does not know it refuses, and hardly ever repeats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from marshmallow import RAISE, Schema

if TYPE_CHECKING:
    from collections.abc import Collection

    from marshmallow import ValidationError
    from marshmallow.fields import Field

WHOLE = "_schema"
"""marshmallow's name for what is wrong with the whole and not with one field."""
ALIKE = 0.8
"""How much of a name must be one of ours for it to be a misspelt one; a patient's name or number is not so near."""

_LETTERS = re.compile(r"[A-Za-z_]+", re.ASCII)


class StrictSchema(Schema):
    """A schema that refuses names it does not know: a misspelt one that does nothing would be worse than an error.

    Such a name is the sender's and may be anything, such as an MRN. Only one that is nearly ours is repeated; of the
    others the error says which one in order it is.
    """

    class Meta:
        """Inherited by a ``Meta`` that names this one."""

        unknown = RAISE

    def handle_error(self, error: ValidationError, data: Any, **_: Any) -> None:  # noqa: ANN401 (marshmallow's)
        """Say of unknown names what can be said of them."""
        messages = error.messages
        if not isinstance(messages, dict) or not isinstance(data, Mapping):
            return
        known = names_of(self.load_fields)
        unknown = messages.keys() - known - {WHOLE}
        for place, name in enumerate(data, 1):
            if name in unknown:
                del messages[name]
                if name in names_of(self.declared_fields):
                    messages[name] = ["Cannot be given here."]
                elif meant := _meant(name, known):
                    messages[name] = [f"Unknown field; did you mean `{meant}`?"]
                else:
                    said = f"Name {place} is not known here; there are: {', '.join(sorted(known))}."
                    messages[WHOLE] = [*messages.get(WHOLE, ()), said]


def names_of(fields: Mapping[str, Field[Any]]) -> set[str]:
    """Say by which names callers know fields."""
    return {field.data_key or name for name, field in fields.items()}


def _meant(name: str, known: Collection[str]) -> str | None:
    """Find out which of our names is meant; None where this may be somebody's own."""
    if not _LETTERS.fullmatch(name):
        return None
    near = [one for one in known if sorted(one) == sorted(name)] or get_close_matches(name, known, 1, ALIKE)
    return near[0] if near else None
