"""Texts folded for comparison by the eye: lower case, no accents, no invisible characters, ASCII digits."""

import unicodedata
from functools import lru_cache


def fold(text: str) -> tuple[str, list[int] | None]:
    """Fold a text: lower case, no accents, no invisible characters, ASCII digits.

    Returns:
        The folded text, and for each of its characters where it came from; None where they are the same.
    """
    if text.isascii():
        return text.lower(), None
    folded, places = [], []
    for place, character in enumerate(text):
        for one in _folded(character):
            folded.append(one)
            places.append(place)
    return "".join(folded), places


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    if unicodedata.category(character) == "Cf":  # soft hyphens, marks of direction, joiners
        return ""
    plain = "".join(
        one for one in unicodedata.normalize("NFKD", character).casefold() if unicodedata.category(one)[0] != "M"
    )
    return "".join(str(unicodedata.decimal(one, one)) for one in plain)
