"""Owns what a reader without the `phi` scope sees in place of MRNs, notes and what else names a patient."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from service.domain.folding import fold
from service.domain.private_fields import is_private, names_an_mrn

_STARS = "***"  # always three, so that the length does not show
_SHOWN = 2
_SHORT = 4  # an MRN of fewer characters is as likely to be found in a date or a time
_LONG = 6  # one of so many is recognised though it is written with spaces or dashes
_SHORT_NOTE = 8  # a note of fewer characters is hidden only where it stands as words of its own
_ROUNDS = 5  # what is left beside stars may look like an MRN again; it gets shorter each time
_MOST_NAMED = 500  # Cobalt's events name one or two; beyond this, nothing of the value is shown
_BRIEF = 100  # texts of up to so many characters, such as names of providers, come again and again


def mask_mrn(mrn: str) -> str:
    """Return stars and the last two characters; only stars for an MRN of two characters or fewer."""
    return _STARS + mrn[-_SHOWN:] if len(mrn) > _SHOWN else _STARS


@dataclass(frozen=True, slots=True)
class Known:
    """What must not be seen, made ready for several texts; `know` makes it.

    `whole` are folded MRNs as they were written; `loose` are long ones without their spaces and dashes, to be
    found whatever stands between their characters; `notes` are folded free texts.
    """

    whole: frozenset[str]
    loose: frozenset[str]
    notes: frozenset[str]

    def joined(self, more: "Known") -> "Known":
        """Return what neither lets be seen."""
        if more is NOTHING:
            return self
        return Known(self.whole | more.whole, self.loose | more.loose, self.notes | more.notes)


NOTHING = Known(frozenset(), frozenset(), frozenset())


def know(mrns: Iterable[str], notes: Iterable[str] = ()) -> Known:
    """Make ready what must not be seen.

    Args:
        mrns: Every MRN that a text may contain: as asked for, as it was before, as Cobalt said.
        notes: Free texts about the patient that may be repeated in another's words.
    """
    whole, loose = set(), set()
    for mrn in mrns:
        folded = fold(mrn.strip())[0]
        plain = folded if folded.isalnum() else "".join(filter(str.isalnum, folded))
        bare = plain.lstrip("0")
        whole |= {folded, folded.lstrip("0"), plain, bare}
        # What is left of an MRN where another system drops its prefix or its suffix.
        parts = {bare, *(run.lstrip("0") for run in _DIGITS.findall(plain))}
        loose |= {part for part in parts if len(part) >= _LONG}
    texts = {fold(note.strip())[0] for note in notes}
    return Known(frozenset(whole - {""}), frozenset(loose), frozenset(text for text in texts if len(text) >= _SHORT))


def mask_text(text: str, mrns: Iterable[str] | Known) -> str:
    """Replace every known MRN, whatever the text itself calls one ("MRN 'xyz'", "mrn=xyz"), and known notes.

    Masking too much is preferred to leaking. Case, accents and the script of digits do not count, and an MRN
    is also found without its leading zeros. One of four characters or more is found inside longer words and
    numbers too, and all of such a word is masked; a shorter one only where it stands alone, or it would be
    found everywhere. One of six or more is found though spaces, dashes or dots stand between its characters.
    """
    known = mrns if isinstance(mrns, Known) else know(mrns)
    labelled, folded = (_prepare_brief if len(text) <= _BRIEF else _prepare)(text)
    spans = [*labelled, *_known_spans(folded, known)]
    for _ in range(_ROUNDS):
        if not spans:
            return text
        text = _replaced(text, spans)
        spans = _known_spans(_Folded.of(text), known)
    return _STARS


def mask_json(value: object, mrns: Iterable[str] | Known) -> Any:  # noqa: ANN401 - JSON in, JSON of the same shape out
    """Mask JSON deeply: strings and keys as `mask_text`, and numbers that hold a known MRN.

    Whatever stands under a key that names an MRN (`mrn`, `patient_mrn`, `patientMrn`, `patient_id`) is masked,
    known or not. Keys that name a note (`note`, `visit_note`) or what else identifies a patient (`first_name`,
    `dob`, `phone`) are left out. What stands under either is masked wherever else the value repeats it. All of it
    at any depth.
    """
    known = mrns if isinstance(mrns, Known) else know(mrns)
    if isinstance(value, dict | list):
        named = know_named(value)
        if len(named.whole | named.notes) > _MOST_NAMED:
            return type(value)()
        known = known.joined(named)
    return _mask_json(value, known)


def know_named(*values: object) -> Known:
    """Make ready what JSON itself calls an MRN, a note or a patient's name, at any depth."""
    found = [one for value in values for one in _named(value, None)]
    return (
        NOTHING
        if not found
        else know(
            dict.fromkeys(said for names, said in found if names is names_an_mrn),
            dict.fromkeys(said for names, said in found if names is is_private),
        )
    )


_DIGITS = re.compile(r"[0-9]+")
_LABEL = (
    r"(?:mrns?|m\.\s?r\.\s?n\.?|(?:medical\s{1,3}record|patient|chart)\s{1,3}(?:number|no|id|identifier))"
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
_LABEL_WORDS = re.compile(r"mrn|record|patient|chart|m\.", re.IGNORECASE)
# What people and systems put between the characters of a number; a colon stands in times.
_BETWEEN = " \t\r\n\u00a0\u2007\u2009\u202f-\u2010\u2011\u2012\u2013\u2014\u2015\u2212._,/\\'\u2019"
_BETWEEN_DROPPED = str.maketrans("", "", _BETWEEN)
_WIDEST_GAP = 3  # so many of them may stand between two characters


@dataclass(frozen=True, slots=True)
class _Folded:
    """A text as `fold` returns it, and `closed`: without what may stand between the characters of an MRN."""

    text: str
    places: list[int] | None
    closed: str

    @classmethod
    def of(cls, text: str) -> "_Folded":
        folded, places = fold(text)
        return cls(folded, places, folded.translate(_BETWEEN_DROPPED))


def _prepare(text: str) -> tuple[list[tuple[int, int]], _Folded]:
    """Return where a text itself says that an MRN stands, and the text ready for looking for what is known."""
    return _labelled(text), _Folded.of(text)


_prepare_brief = lru_cache(maxsize=4096)(_prepare)


def _labelled(text: str) -> list[tuple[int, int]]:
    """Return where the text itself says that an MRN stands."""
    if not _LABEL_WORDS.search(text):  # most texts have no label, and the patterns take their time
        return []
    return [match.span(1) for pattern in _LABELLED for match in pattern.finditer(text)]


def _known_spans(folded: _Folded, known: Known) -> list[tuple[int, int]]:
    spans, places = _spans(folded.text, folded.closed, known), folded.places
    return spans if places is None else [(places[start], places[end - 1] + 1) for start, end in spans]


def _replaced(text: str, spans: list[tuple[int, int]]) -> str:
    parts = []
    done = 0
    for start, end in _merged(spans):
        # The last characters of all that is replaced: others, put before what follows, could make up an MRN.
        parts += [text[done:start], mask_mrn(text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def _spans(folded: str, closed: str, known: Known) -> list[tuple[int, int]]:
    """Return where something known stands in a folded text, with the rest of the words it is part of."""
    spans = [span for mrn in known.whole if mrn in folded for span in _spans_of(mrn, folded)]
    for mrn in known.loose:
        if mrn in closed:
            spans += _loose_spans_of(mrn, folded, closed)
    for note in known.notes:
        start = folded.find(note)
        while start >= 0:
            end = start + len(note)
            if len(note) >= _SHORT_NOTE or _whole_words(start, end, folded) == (start, end):
                spans.append((start, end))
            start = folded.find(note, end)
    return spans


def _spans_of(mrn: str, folded: str) -> Iterator[tuple[int, int]]:
    found = folded.find(mrn)
    while found >= 0:
        start, end = _whole_words(found, found + len(mrn), folded)
        shown_of_a_mask = len(mrn) <= _SHOWN and folded[:found].endswith("*")
        if (len(mrn) >= _SHORT or _same(folded[start:end], mrn)) and not shown_of_a_mask:
            yield start, end
        # One that is not within this word can begin in it still, if it has a hyphen or the like.
        found = folded.find(mrn, max(found + 1, end - len(mrn) + 1))


def _same(word: str, mrn: str) -> bool:
    digits = mrn.lstrip("0")
    return word == mrn or (digits != "" and word.lstrip("0") == digits)


def _loose_spans_of(mrn: str, folded: str, closed: str) -> Iterator[tuple[int, int]]:
    """Return where an MRN stands with gaps; `closed` is the text without them.

    A pattern for each MRN would take a millisecond to compile.
    """
    places = [place for place, character in enumerate(folded) if character not in _BETWEEN]
    done = 0
    found = closed.find(mrn)
    while found >= 0:
        of_mrn = places[found : found + len(mrn)]
        together = all(after - before <= _WIDEST_GAP + 1 for before, after in pairwise(of_mrn))
        if together and of_mrn[-1] >= done:  # else it is in the word before
            start, done = _whole_words(of_mrn[0], of_mrn[-1] + 1, folded)
            yield start, done
        found = closed.find(mrn, found + (len(mrn) if together else 1))


def _whole_words(start: int, end: int, folded: str) -> tuple[int, int]:
    while start and folded[start - 1].isalnum():
        start -= 1
    while end < len(folded) and folded[end].isalnum():
        end += 1
    return start, end


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _mask_json(value: object, known: Known) -> object:
    if isinstance(value, str):
        return mask_text(value, known)
    if isinstance(value, dict):
        return {
            mask_text(key, known): _mask_all(item, known) if names_an_mrn(key) else _mask_json(item, known)
            for key, item in value.items()
            if not is_private(key)
        }
    if isinstance(value, list):
        return [_mask_json(item, known) for item in value]
    if _is_number(value):
        text = str(value)
        if "e" in text.lower() and isinstance(value, float):  # 1.23456789e8 is 123456789
            text = f"{value:f}".rstrip("0").rstrip(".")
        masked = mask_text(text, known)
        return value if masked == text else masked
    return value


def _mask_all(value: object, known: Known) -> object:
    """Mask every string and number, because their key says that they are MRNs."""
    if isinstance(value, dict):
        return {mask_text(key, known): _mask_all(item, known) for key, item in value.items() if not is_private(key)}
    if isinstance(value, list):
        return [_mask_all(item, known) for item in value]
    return mask_mrn(str(value)) if isinstance(value, str) or _is_number(value) else value


def _named(value: object, under: Callable[[str], bool] | None) -> Iterator[tuple[Callable[[str], bool], str]]:
    """Return texts and numbers under keys that name something, each with what tells such keys."""
    if isinstance(value, dict):
        for key, item in value.items():
            named = names_an_mrn if names_an_mrn(key) else is_private if is_private(key) else under
            yield from _named(item, named)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, under)
    elif under and (isinstance(value, str) or _is_number(value)):
        yield under, str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
