"""Owns the meaning of a failure: from Cobalt's words to a stable category and what a person can do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal


class Category(StrEnum):
    """Why an appointment failed. The values are public: dashboards filter by them."""

    PATIENT_NOT_FOUND = "patient_not_found"
    VISIT_TYPE_UNAVAILABLE = "visit_type_unavailable"
    PROVIDER_NOT_FOUND = "provider_not_found"
    SCHEDULE_BLOCK = "schedule_block"
    APPOINTMENT_CONFLICT = "appointment_conflict"
    GAVE_UP = "gave_up"
    REJECTED_BY_COBALT = "rejected_by_cobalt"
    SUBMISSION_UNCONFIRMED = "submission_unconfirmed"
    OTHER = "other"


Action = Literal["correct", "resubmit", "check_ehr_then_resubmit", "review"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a person can do about a failure: the request's fields to look at, and the action to take."""

    fields: tuple[str, ...]
    action: Action


REMEDIES: Mapping[Category, Remedy] = MappingProxyType(
    {
        Category.PATIENT_NOT_FOUND: Remedy(("mrn",), "correct"),
        Category.VISIT_TYPE_UNAVAILABLE: Remedy(("type",), "correct"),
        Category.PROVIDER_NOT_FOUND: Remedy(("provider",), "correct"),
        Category.SCHEDULE_BLOCK: Remedy(("date", "time"), "correct"),
        Category.APPOINTMENT_CONFLICT: Remedy(("date", "time"), "correct"),
        Category.GAVE_UP: Remedy((), "resubmit"),
        Category.REJECTED_BY_COBALT: Remedy((), "correct"),
        Category.SUBMISSION_UNCONFIRMED: Remedy((), "check_ehr_then_resubmit"),
        Category.OTHER: Remedy((), "review"),
    }
)

# The two conflict types are [S]. That `reasons[].code` exists is [P], but not how a code is spelt: these are
# the plausible spellings. Case and separators do not count, so PatientNotFound is there too.
_CODES = {
    Category.PATIENT_NOT_FOUND: (
        "patient_not_found patient_mrn_not_found mrn_not_found patient_does_not_exist unknown_patient "
        "invalid_patient invalid_mrn invalid_patient_mrn"
    ),
    Category.VISIT_TYPE_UNAVAILABLE: (
        "visit_type_unavailable visit_type_not_available visit_type_not_found unknown_visit_type "
        "invalid_visit_type appointment_type_unavailable appointment_type_not_available "
        "appointment_type_not_found invalid_appointment_type"
    ),
    Category.PROVIDER_NOT_FOUND: ("provider_not_found provider_does_not_exist unknown_provider invalid_provider"),
    Category.SCHEDULE_BLOCK: (
        "schedule_block schedule_blocked schedule_block_conflict blocked_schedule block_conflict "
        "time_blocked slot_blocked"
    ),
    Category.APPOINTMENT_CONFLICT: (
        "appointment_conflict appointment_conflicts conflicting_appointment existing_appointment "
        "existing_appointment_conflict overlapping_appointment double_booking double_booked slot_taken"
    ),
    Category.GAVE_UP: (
        "gave_up max_retries max_retries_exceeded max_retries_reached maximum_retries_exceeded "
        "max_attempts max_attempts_exceeded max_attempts_reached maximum_attempts_exceeded "
        "retries_exhausted retry_limit_exceeded too_many_attempts too_many_retries"
    ),
}
_LONGEST_CODE = 100


def _plain(code: str) -> str:
    return "".join(filter(str.isalnum, code[:_LONGEST_CODE].lower()))


_CATEGORY_OF_CODE = {_plain(code): category for category, codes in _CODES.items() for code in codes.split()}

# A quoted or bracketed value may say anything ('Schedule Block Review' is a visit type): it is no evidence.
# A quote inside a word is an apostrophe. \u2018 to \u201d are the curly quotes. Each branch starts with its
# literal, and the patterns below with theirs where they can: that is what makes the search fast.
_VALUE = re.compile(
    r"""'(?<!\w').{0,200}?'(?!\w)|"(?<!\w").{0,200}?"(?!\w)|"""
    r"""\u2018.{0,200}?\u2019(?!\w)|\u201c.{0,200}?\u201d(?!\w)|\([^()]*\)""",
    re.DOTALL,
)

# Every repetition has a limit and the text is cut, so that hostile text costs milliseconds at most.
_LONGEST_TEXT = 1000
_NOT = r"(?:not|n['\u2019]t)"
_ABSENT = (
    rf"(?:{_NOT}\s{{1,3}}(?:be\s{{1,3}}|been\s{{1,3}}|a\s{{1,3}})?"
    r"(?:found|available|located|exist|valid|matched|recogni[sz]ed|configured)|"
    r"unavailable|invalid|unknown|missing)"
)
_SOUGHT = (
    rf"(?:(?:{_NOT}|unable\s{{1,3}}to|failed\s{{1,3}}to)\s{{1,3}}(?:find|locate|match)|"
    r"\bno(?:\s{1,3}such)?|unknown|invalid|unrecogni[sz]ed|missing)"
    r"(?:\s{1,3}(?:a|an|the|any|this|that|such|matching|active|given|requested|selected)){0,3}\s{1,3}"
)
# From a subject to what is said of it: no other subject and no end of a sentence between the two.
_UP_TO = r"\b(?:(?!patient|\bmrn|provider|visit)[^.;:!?]){0,60}"
_VISIT_TYPE = r"(?:visit|appointment)\W{0,3}types?"
_PATIENT = r"(?:patient|mrn)"
_PROVIDER = r"(?:provider|physician|clinician|doctor)"

# Searched in this order in the lowercased text without its values; the first that is found decides. Giving
# up comes first, whatever the "last error" says: that is the robot's own wording of its last try ("provider
# field not found on page"), and taking it for the cause would send somebody to correct what was right.
_WORDS = tuple(
    (re.compile(pattern), category)
    for pattern, category in (
        (r"after\s{1,3}\w{1,12}\s{1,3}(?:\w{1,12}\s{1,3})?(?:attempt|tries|retries)", Category.GAVE_UP),
        (r"gave\s{1,3}up", Category.GAVE_UP),
        (r"max(?:imum)?\W{1,3}(?:number\s{1,3}of\s{1,3})?(?:attempt|tries|retr)", Category.GAVE_UP),
        (r"too\s{1,3}many\s{1,3}(?:attempt|tries|retr)", Category.GAVE_UP),
        (r"retries\s{1,3}(?:\w{1,12}\s{1,3})?(?:exhausted|exceeded)", Category.GAVE_UP),
        (r"schedul(?:e|ing)\W{1,3}block", Category.SCHEDULE_BLOCK),
        (r"conflict[^.;]{0,60}\bblock", Category.SCHEDULE_BLOCK),
        (r"(?:schedule|slot|time|calendar)\b[^.;]{0,40}\bblocked", Category.SCHEDULE_BLOCK),
        (r"conflict[^.;]{0,60}\bappointment", Category.APPOINTMENT_CONFLICT),
        (r"appointment\W{1,3}conflict", Category.APPOINTMENT_CONFLICT),
        (r"overlap[^.;]{0,60}\bappointment", Category.APPOINTMENT_CONFLICT),
        (r"double\W{0,3}book", Category.APPOINTMENT_CONFLICT),
        (r"already\s{1,3}(?:been\s{1,3})?(?:booked|taken|has\s{1,3}an)\b", Category.APPOINTMENT_CONFLICT),
        (_VISIT_TYPE + _UP_TO + _ABSENT, Category.VISIT_TYPE_UNAVAILABLE),
        (_PATIENT + _UP_TO + _ABSENT, Category.PATIENT_NOT_FOUND),
        (_PROVIDER + _UP_TO + _ABSENT, Category.PROVIDER_NOT_FOUND),
        (_SOUGHT + _VISIT_TYPE, Category.VISIT_TYPE_UNAVAILABLE),
        (_SOUGHT + _PATIENT, Category.PATIENT_NOT_FOUND),
        (_SOUGHT + _PROVIDER, Category.PROVIDER_NOT_FOUND),
    )
)


def _lower_without_values(reason: str) -> str:
    return _VALUE.sub(" _ ", reason[:_LONGEST_TEXT]).lower()


def codes_of(details: Mapping[str, Any]) -> list[str]:
    """Return Cobalt's codes for a failure as it spells them, from the other fields of the event's `data` [P]."""
    reasons = details.get("reasons")
    codes = [entry.get("code") for entry in reasons if isinstance(entry, dict)] if isinstance(reasons, list) else []
    return [code for code in codes if isinstance(code, str)]


def _codes(details: Mapping[str, Any]) -> list[str]:
    conflict_type = details.get("conflict_type")
    return codes_of(details) + ([conflict_type] if isinstance(conflict_type, str) else [])


def classify(reason: str, details: Mapping[str, Any]) -> Category:
    """Return the category of a failure from Cobalt's words and the other fields of the event's `data`.

    The first `reasons[].code` that is known decides [P], else `conflict_type` [S], else the words [S].
    A cause that is not recognised is `other`. Never raises, whatever the types of the details.
    """
    for code in _codes(details):
        if category := _CATEGORY_OF_CODE.get(_plain(code)):
            return category
    words = _lower_without_values(reason)
    for pattern, category in _WORDS:
        if pattern.search(words):
            return category
    return Category.OTHER


# The words of the six causes of [S], and those that a changed wording would likely use. No word of a value.
_VOCABULARY_TEXT = """
    a after already an and another any appointment appointments attempt attempts available be been block
    blocked booked by calendar cannot check choose combination configuration conflict conflicts contact
    could create created creation denied different does double ecw ehr endpoint error exceeded exist
    existing exists failed find for found gave has in internal invalid is issue last location locate logs
    login lost match matching maximum message missing mrn multiple no not of on or overlaps patient
    patients permission please provider providers request requested resolve resource retries retry
    schedule scheduled scheduling selected server session slot slots some subtype support such system
    taken the this time timeout timed to too try type types unable unavailable unexpected unknown up
    update updated use user using valid visit was with
"""
_VOCABULARY = frozenset(_VOCABULARY_TEXT.split())
_LONGEST_SHAPE = 200
_TOKEN = re.compile(r"\w+")


def shape(reason: str) -> str:
    """Return what of a reason may be logged: its known words in lower case, `_` for any run of others.

    No value can pass: what is quoted, bracketed or not in a fixed vocabulary of Cobalt's own wording is
    dropped. At most 200 characters.
    """
    words: list[str] = []
    for token in _TOKEN.findall(_lower_without_values(reason)):
        word = token if token in _VOCABULARY else "_"
        if word != "_" or words[-1:] != ["_"]:
            words.append(word)
    return " ".join(words)[:_LONGEST_SHAPE]
