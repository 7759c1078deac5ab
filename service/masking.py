"""Owns what a reader without the `phi` scope sees in place of MRNs and notes."""

import re
from collections.abc import Iterable
from typing import Any

_STARS = "***"  # always three, so that the length does not show
_SHOWN = 2
_SHORT = 4  # an MRN of fewer characters is as likely to be found in a date or a time


def mask_mrn(mrn: str) -> str:
    """Return stars and the last two characters; only stars for an MRN of two characters or fewer."""
    return _STARS + mrn[-_SHOWN:] if len(mrn) > _SHOWN else _STARS


def mask_text(text: str, mrns: Iterable[str]) -> str:
    """Replace every known MRN, and whatever the text itself calls one ("MRN 'xyz'", "mrn=xyz").

    Masking too much is preferred to leaking. Case does not count, and an MRN is also found without its leading
    zeros. One of four characters or more is found inside longer words and numbers too, and all of such a word
    is masked; a shorter one only where it stands alone, or it would be found everywhere.
    """
    return _mask_text(text, _known(mrns))


def mask_json(value: object, mrns: Iterable[str]) -> Any:  # noqa: ANN401 - JSON in, JSON of the same shape out
    """Mask JSON deeply: strings and keys as `mask_text`, and numbers that hold a known MRN.

    Whatever stands under a key that names an MRN (`mrn`, `patient_mrn`, `patientMrn`) is masked, known or
    not. Keys that name a note (`note`, `notes`, `visit_note`) are left out. Both at any depth.
    """
    return _mask_json(value, _known(mrns))


_LABEL = (
    r"(?:mrns?|medical\s{1,3}record\s{1,3}(?:number|no))"
    r"""['"\u2019\u201d\\]{0,3}[\s_-]{0,3}(?:(?:is|was|of|with|number|no|value)\b\.?)?\s{0,3}"""
)
_LABELLED = tuple(
    re.compile(_LABEL + value, re.IGNORECASE | re.DOTALL)
    for value in (
        # MRN 'x y', "mrn": "x", and the same inside escaped JSON
        r"""[\s:=#(\[\\]{0,5}['"`\u2018\u201c]([^*'"`\s].{0,200}?)\\?['"`\u2019\u201d](?!\w)""",
        # MRN: x, mrn=x, MRN (x), and a quote that is never closed
        (
            r"""(?:[:=#(\[<][\s:=#(\[<'"`\\\u2018\u201c]{0,5}|['"`\u2018\u201c])"""
            r"""([^\s*'"`\\:=#(\[<&,;)\]}>\u2018-\u201d][^\s'"`\\&,;)\]}>\u2018-\u201d]*)"""
        ),
        # MRN x, MRNx, if x has a digit: "update the MRN using" is to stay readable
        r"(?=[\w-]{0,50}\d)(\w[\w-]*)",
    )
)


def _mask_text(text: str, known: frozenset[str]) -> str:
    lowered = _lower(text)
    spans = []
    if "mrn" in lowered or "record" in lowered:  # most texts have no label, and three patterns take their time
        spans = [match.span(1) for pattern in _LABELLED for match in pattern.finditer(text)]
    for mrn in known:
        spans += _spans_of(mrn, lowered)
    if not spans:
        return text
    parts = []
    done = 0
    for start, end in _merged(spans):
        # The last characters of all that is replaced: others, put before what follows, could make up an MRN.
        parts += [text[done:start], mask_mrn(text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def _spans_of(mrn: str, text: str) -> list[tuple[int, int]]:
    """Return where an MRN stands in a text, both in lower case, with the rest of the words it is part of."""
    spans = []
    found = text.find(mrn)
    while found >= 0:
        start, end = found, found + len(mrn)
        while start and text[start - 1].isalnum():
            start -= 1
        while end < len(text) and text[end].isalnum():
            end += 1
        if len(mrn) >= _SHORT or end - start == len(mrn):
            spans.append((start, end))
        # One that is not within this word can begin in it still, if it has a hyphen or the like.
        found = text.find(mrn, max(found + 1, end - len(mrn) + 1))
    return spans


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _known(mrns: Iterable[str]) -> frozenset[str]:
    lowered = {_lower(mrn.strip()) for mrn in mrns}
    return frozenset(lowered | {mrn.lstrip("0") for mrn in lowered}) - {""}


def _lower(text: str) -> str:
    """Lower the case of each character that stays one character, so that positions are kept."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def _mask_json(value: object, known: frozenset[str]) -> object:
    if isinstance(value, str):
        return _mask_text(value, known)
    if isinstance(value, dict):
        return {
            _mask_text(key, known): _mask_all(item, known) if _names_mrn(key) else _mask_json(item, known)
            for key, item in value.items()
            if not _names_note(key)
        }
    if isinstance(value, list):
        return [_mask_json(item, known) for item in value]
    if _is_number(value):
        text = str(value)
        masked = _mask_text(text, known)
        return value if masked == text else masked
    return value


def _mask_all(value: object, known: frozenset[str]) -> object:
    """Mask every string and number, because their key says that they are MRNs."""
    if isinstance(value, dict):
        return {_mask_text(key, known): _mask_all(item, known) for key, item in value.items() if not _names_note(key)}
    if isinstance(value, list):
        return [_mask_all(item, known) for item in value]
    return mask_mrn(str(value)) if isinstance(value, str) or _is_number(value) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(key: str) -> str:
    return "".join(filter(str.isalnum, key.lower()))


def _names_mrn(key: str) -> bool:
    plain = _plain(key)
    return "mrn" in plain or "medicalrecordnumber" in plain


def _names_note(key: str) -> bool:
    return _plain(key).endswith(("note", "notes"))
