"""Owns the one form in which texts of two systems are compared. It is never shown, and never sent on."""

from __future__ import annotations

import re
import unicodedata

UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What is drawn as nothing, to stand in a regular expression's brackets: Unicode's Default_Ignorable_Code_Point, and
the marks of annotations. Among it are byte order marks, joiners, and marks of direction."""

_UNSEEN = re.compile(f"[{UNSEEN}]")


def comparable(text: str) -> str:
    """Return a text as texts are compared: composed (NFC), each stretch of white space one blank, trimmed, all seen."""
    if text.isascii() and text.isalnum():  # nearly every MRN
        return text
    return " ".join(unicodedata.normalize("NFC", _UNSEEN.sub("", text)).split())


def comparable_name(name: str) -> str:
    """Return a name as names are compared: as ``comparable``, without a difference between large and small letters."""
    return unicodedata.normalize("NFC", comparable(name).casefold())
