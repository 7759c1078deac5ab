"""How texts stand in the cells of our CSV files: marked where a spreadsheet would make something else of them."""

from __future__ import annotations

import re

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet may take for the beginning of a formula; the last four are the first in full width.

With marks in front of it too: else a text that begins with one could not be told from one that was marked.
"""
_MONTH = (
    r"(?:jan|feb|m\u00e4r|mar|mrz|abr|apr|avr|may|mai|jun|jui|jul|aug|ago|ao\u00fb|sep|set|oct|okt|out|nov|dec|dez|dic|d\u00e9c)"
    r"[^\W\d_]{0,7}\.?"
)
_NUMBER = re.compile(
    rf"""'*\s*(?:
      [0\uff10]\d+ | \d{{12,}}                           # zeros in front go, and many digits are rounded
    | \d+ (?:[.,:/\-\s]+\d+)+ [.,]? | \d+[.,]   # decimals, thousands, days, times
    | [$\u00a3\u20ac\u00a5]\s*\d[\d.,]* | \d[\d.,]*\s*[%$\u00a3\u20ac\u00a5]
    | \d+ (?:[.,]\d*)? e [+\-]?\d+             # 1E5
    | \d{{1,4}}[.\-/\s]*{_MONTH} (?:[.\-/\s]*\d{{1,4}})? | {_MONTH}[.\-/\s]*\d{{1,4}}
    )\s*""",
    re.VERBOSE | re.IGNORECASE,
)
"""What a spreadsheet would take for a number, a day or a time, and show or save otherwise.

A number of up to eleven digits it leaves as it is.
"""


_DIGIT = re.compile(r"\d")  # most texts have none, and need not be looked at more closely
_YES_OR_NO = re.compile(r"'*\s*(?:true|false|wahr|falsch|vrai|faux)\s*", re.IGNORECASE)


def protected(text: str) -> str:
    """Put a quote before what a spreadsheet would run or rewrite: a person types one to have a cell taken as text."""
    rewritten = _NUMBER if _DIGIT.search(text) else _YES_OR_NO
    return f"'{text}" if _FORMULA.match(text) or rewritten.fullmatch(text) else text


def protected_as_value(text: str) -> str:
    """Put a quote only before what a spreadsheet would run: a day, a time or a yes of ours it may take as such."""
    return f"'{text}" if _FORMULA.match(text) else text


def unprotected(cell: str) -> str:
    """Take off what ``protected`` put on, and nothing else."""
    return cell[1:] if cell.startswith("'") and protected(cell[1:]) == cell else cell
