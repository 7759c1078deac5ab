"""Names of JSON fields that say what a value is: an MRN, or something else that names a patient."""

from functools import lru_cache

from service.domain.folding import fold

_MRN_KEYS = ("mrn", "medicalrecord", "patientid", "patientnumber", "patientno", "chartid", "chartnumber", "chartno")
_PRIVATE_KEYS = (
    "firstname", "lastname", "middlename", "fullname", "familyname", "givenname", "patientname", "dateofbirth",
    "birthdate", "birthday", "socialsecurity", "phone", "telephone", "email", "streetaddress", "homeaddress",
)  # fmt: skip
_PRIVATE_WORDS = frozenset({"dob", "ssn", "address", "patient", "patientdob", "patientaddress", "demographics"})

_CLINICAL_KEYS = (
    "insur", "payer", "policy", "subscriber", "member", "guarantor", "diagnos", "icd10", "medication", "prescription",
    "allerg", "immuniz", "symptom", "complaint", "problemlist", "medicalhistory", "emergencycontact", "birth", "gender",
    "ethnic", "marital", "religion", "mobile", "address", "zipcode", "postalcode",
)  # fmt: skip
_CLINICAL_WORDS = frozenset({"name", "sex", "race", "fax", "age", "zip", "city", "drugs", "vitals", "language"})


@lru_cache(maxsize=1024)
def is_needless(key: str) -> bool:
    """Tell whether a field of this name says who a patient is, or about the patient's health, and is not to be kept.

    An MRN is kept: by it Cobalt names the patient, and a person corrects it.
    """
    plain = _plain(key)
    return is_private(key) or plain in _CLINICAL_WORDS or any(name in plain for name in _CLINICAL_KEYS)


@lru_cache(maxsize=1024)
def names_an_mrn(key: str) -> bool:
    """Tell whether a field of this name holds an MRN."""
    plain = _plain(key)
    return any(name in plain for name in _MRN_KEYS)


@lru_cache(maxsize=1024)
def is_private(key: str) -> bool:
    """Tell whether a field of this name holds something about a patient that nobody needs here."""
    plain = _plain(key)
    return plain.endswith(("note", "notes")) or plain in _PRIVATE_WORDS or any(name in plain for name in _PRIVATE_KEYS)


def _plain(key: str) -> str:
    return "".join(filter(str.isalnum, fold(key)[0]))
