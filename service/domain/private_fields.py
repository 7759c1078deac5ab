"""Names of JSON fields that say what a value is: an MRN, or something else that names a patient."""

from functools import lru_cache

from service.domain.folding import fold

_MRN_KEYS = ("mrn", "medicalrecord", "patientid", "patientnumber", "patientno", "chartid", "chartnumber", "chartno")
_PRIVATE_KEYS = (
    "firstname", "lastname", "middlename", "fullname", "familyname", "givenname", "patientname", "dateofbirth",
    "birthdate", "birthday", "socialsecurity", "phone", "telephone", "email", "streetaddress", "homeaddress",
)  # fmt: skip
_PRIVATE_WORDS = frozenset({"dob", "ssn", "address", "patient", "patientdob", "patientaddress", "demographics"})


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
