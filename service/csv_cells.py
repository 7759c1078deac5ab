"""How texts stand in the cells of our CSV files: marked where a spreadsheet would take them for something else."""

from __future__ import annotations

import re

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet may take for the beginning of a formula; the last four are the first in full width.

With marks in front of it too: else a text that begins with one could not be told from one that was marked.
"""


def protected(text: str) -> str:
    """Put a quote before what a spreadsheet would run: a person would type it to have a formula taken as text."""
    return f"'{text}" if _FORMULA.match(text) else text


def unprotected(cell: str) -> str:
    """Take off what ``protected`` put on, and nothing else."""
    return cell[1:] if cell.startswith("'") and protected(cell[1:]) == cell else cell
