"""Tells what a spreadsheet has made of a value from what somebody meant.

A spreadsheet rewrites what looks like a number, a day or a yes, and a file does not tell. What is left is often the
value of another patient. So each form that a spreadsheet writes, and that an EHR's ids do not have, is refused with the
way to mend it; messages never hold the value.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

IDS = ("mrn", "location", "provider", "secondary_provider")
"""Fields whose digits are names and no numbers."""
FREE_TEXT = ("note", "reason")
FLAGS = ("new_patient", "prevent_double_booking")

_AS_TEXT = "format the column as text and enter the values again"
_AS_DAY = "format the column as text and write days like 2030-01-31"
_AS_TIME = "format the column as text and write times like 10:00"
_ERROR = re.compile(r"#\S{1,20}[!?]|#N/?[ADV]|#+|#GETTING_DATA|Err:[0-9]{3}", re.IGNORECASE)
"""``#REF!``, ``#NAME?``, ``#N/A`` in several languages; a column that was too narrow; LibreOffice's."""
_YES_OR_NO = frozenset({"TRUE", "FALSE", "WAHR", "FALSCH", "VRAI", "FAUX", "VERDADERO", "FALSO"})
_SHORTENED = re.compile(r"[+-]?[0-9]([.,][0-9]+)?E[+-][0-9]{2,3}", re.IGNORECASE)
_MONTHS = "jan|feb|mar|mrz|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez"
_IN_IDS = (
    (re.compile(r"[*\u2022]+\S{0,4}"), "is masked: export it with a key that has the scope `phi`"),
    (re.compile(r"=.*", re.DOTALL), "is a formula: save its result in place of it"),
    (re.compile(r"[0-9]+[.,]0+"), f"is a number with decimals: {_AS_TEXT}"),
    (re.compile(r"[0-9]{1,3}(,[0-9]{3})+"), f"is a number with its thousands apart: {_AS_TEXT}"),
    (
        re.compile(
            rf"[0-9]{{1,2}}[-. ]{{1,2}}({_MONTHS})\.?([-. ][0-9]{{2,4}})?|({_MONTHS})[-. ][0-9]{{2,4}}"
            r"|[0-9]{1,2}(?P<apart>[/.])[0-9]{1,2}(?P=apart)[0-9]{4}|[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:]+)?",
            re.IGNORECASE,
        ),
        f"is a day, which a spreadsheet makes of what looks like one: {_AS_TEXT}",
    ),
)
_IN_MRNS = ((re.compile(r"'.*", re.DOTALL), "begins with the mark by which a spreadsheet knows text: take it off"),)
_IN_DATES = (
    (
        re.compile(r"[0-9]{1,2}([/.-])[0-9]{1,2}\1[0-9]{2,4}|[0-9]{4}([/.])[0-9]{1,2}\2[0-9]{1,2}"),
        f"is a day as a spreadsheet writes it, where day and month are easily confused: {_AS_DAY}",
    ),
    (
        re.compile(r"[0-9]{5}([.,][0-9]+)?"),
        f"is a spreadsheet's number of a day: {_AS_DAY}",
    ),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:. APMapm]+"), "has a time beside the day: write it like 2030-01-31"),
)
_IN_TIMES = (
    (
        re.compile(r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}.*"),
        f"has seconds, as a spreadsheet writes times: {_AS_TIME}",
    ),
    (
        re.compile(r"[01]?[.,][0-9]+"),
        f"is a fraction of a day, as a spreadsheet counts it: {_AS_TIME}",
    ),
)
_OF = dict.fromkeys(IDS, _IN_IDS) | {
    "mrn": _IN_IDS + _IN_MRNS,
    "date": _IN_DATES,
    "datetime": _IN_DATES,
    "time": _IN_TIMES,
}

EXACT = 15
"""Digits of a number that a spreadsheet keeps; the others become 0."""
LIKELY = 2
"""How many digits fewer speak for lost zeros: one id in ten begins with a zero, one in a thousand with three."""


def find_damage(name: str, cell: str) -> str | None:
    """Say what is wrong with a value that a spreadsheet has rewritten, and how to mend it; None for any other.

    Args:
        name: The field.
        cell: What stands in the file, without blanks around it.
    """
    if "\ufffd" in cell:
        return 'has lost a character when it was saved: save it again as "CSV UTF-8"'
    if _ERROR.fullmatch(cell):
        return "is an error of a spreadsheet: mend it there, and save again"
    if name in FREE_TEXT:
        return None
    if cell in _YES_OR_NO:
        own = "is a spreadsheet's own yes or no"
        return f"{own}: write `true` or `false` into a column of text" if name in FLAGS else f"{own}: {_AS_TEXT}"
    if _SHORTENED.fullmatch(cell):
        return f"is a number in a spreadsheet's short form, whose other digits are lost: {_AS_TEXT}"
    return next((fix for form, fix in _OF.get(name, ()) if form.fullmatch(cell)), None)


def find_lost_zeros(ids: Mapping[int, str]) -> dict[int, str]:
    """Compare ids of one kind: where some have kept zeros in front, those that are shorter have lost theirs.

    Args:
        ids: Line -> id.

    Returns:
        Line -> what is wrong with it.
    """
    filled = max((len(text) for text in ids.values() if text.startswith("0") and _is_number(text)), default=0)
    return {
        line: f"has {len(text)} digits, others have zeros in front to make {filled}: {_AS_TEXT}"
        for line, text in ids.items()
        if len(text) < filled and _is_number(text) and not text.startswith("0")
    }


def find_odd_mrns(mrns: Mapping[int, str]) -> tuple[dict[int, str], dict[int, str]]:
    """Compare the MRNs of one EHR, which give a patient's number as many digits as any other's.

    Args:
        mrns: Line -> MRN.

    Returns:
        Line -> what is wrong with it; and line -> what might be.
    """
    numbers = {line: text for line, text in mrns.items() if _is_number(text)}
    lengths = Counter(map(len, numbers.values()))
    usual = max(lengths, key=lambda length: (lengths[length], length), default=0)
    wrong = find_lost_zeros(numbers)
    doubtful = {}
    for line, text in numbers.items():
        if len(text) > EXACT and not text[EXACT:].strip("0"):
            wrong[line] = f"has only zeros after its 15th digit, where a spreadsheet keeps no other: {_AS_TEXT}"
        elif text.startswith("0") or line in wrong or len(text) == usual:
            continue
        elif abs(len(text) - usual) <= LIKELY:
            wrong[line] = f"has {len(text)} digits, most have {usual}: if zeros were lost, {_AS_TEXT}"
        else:
            doubtful[line] = f"has {len(text)} digits, most have {usual}"
    return wrong, doubtful


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
