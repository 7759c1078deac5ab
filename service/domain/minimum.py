"""Owns the minimum of what Cobalt says that is kept (HIPAA 164.502(b)): what decides, and what a person corrects by.

Cobalt tells far more: names, dates of birth, phones, insurance, diagnoses, medications, notes. None of that is stored.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from service.domain.event_bodies import Unreadable, read_body
from service.domain.exact_json import document
from service.domain.private_fields import is_needless
from service.domain.published_names import ENVELOPE, as_envelope

if TYPE_CHECKING:
    from collections.abc import Mapping

CREATED, FAILED = "appointment.created", "appointment.failed"

_OUTCOME = frozenset({
    "appointment_id", "id", "mrn", "patient_mrn", "date_time", "datetime", "timezone", "job_id",
    "provider_id", "provider_ehr_id", "provider_name", "secondary_provider_id", "status",
})  # fmt: skip
_LISTED = _OUTCOME | {"created_at", "created_by"}
_OF_OTHERS = frozenset({"mrn", "patient_mrn", "job_id", "status"})
_OF_ACCOUNTS = frozenset({"emr_instance_domain", "message", "error_type"})
_PLAIN = (str, int, float)
_LISTS = ("appointments", "results")


def reduce_event(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """Return of an event, in a webhook's names, what may be kept: the same again of what was reduced before.

    A failure keeps all but what identifies a patient or is about the patient's health: a person corrects by it. Every
    other type keeps what decides.
    """
    kept = {
        name: value for name in ENVELOPE if name not in {"data", "listed"} and _is_plain(value := envelope.get(name))
    }
    data = envelope.get("data")
    if isinstance(data, dict):
        kept["data"] = _reduce_data(str(kept.get("type")), data)
    elif envelope.get("type") in {CREATED, FAILED} and data is not None:
        kept["data"] = [] if isinstance(data, list) else data  # the reader says what is wrong with it
    if isinstance(envelope.get("listed"), dict):
        kept["listed"] = reduce_listed(envelope["listed"])
    return kept


def reduce_listed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return of an entry of ``GET /appointments``, or of a search in the EHR, what can be evidence."""
    kept = _chosen(entry, _LISTED)
    source = entry.get("object_metadata")
    if isinstance(source, dict):
        kept["object_metadata"] = _chosen(source, frozenset({"source"}))
    return kept


def reduce_bytes(raw: bytes) -> bytes:
    """Return what the quarantine may keep of a body that is no event; a person is to see why, and to replay it.

    What is no JSON object stays as it came.
    """
    try:
        body, _ = read_body(raw)
    except Unreadable:
        return raw
    envelope = as_envelope(body)
    named = envelope.get("type")
    if isinstance(named, str) and named not in {CREATED, FAILED}:
        kept = reduce_event(envelope)
    else:
        kept = _without_needless(body)
    return raw if kept == body and not names_twice(raw) else document(kept)


def names_twice(raw: bytes) -> bool:
    """Tell whether an object in a body has a name twice: then its bytes say more than was read."""
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len(dict(pairs)) != len(pairs)

    json.loads(raw, object_pairs_hook=look, parse_int=str, parse_float=str)  # of any length
    return found


def _reduce_data(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    if kind == FAILED:
        return _without_needless(data)
    if not kind.startswith("appointment."):
        return _chosen(data, _OF_ACCOUNTS if kind.startswith("access_token.") else _OF_OTHERS)
    lists = {
        name: [reduce_listed(one) for one in data[name] if isinstance(one, dict)]
        for name in _LISTS
        if isinstance(data.get(name), list)
    }
    return _chosen(data, _OUTCOME) | lists


def _chosen(fields: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in names and (value is None or _is_plain(value))}


def _is_plain(value: object) -> bool:
    return isinstance(value, _PLAIN)


def _without_needless(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out, at any depth, what stands under a name that says that nobody here needs it."""
    return {name: _inner(value) for name, value in fields.items() if not is_needless(name)}


def _inner(value: object) -> object:
    if isinstance(value, dict):
        return _without_needless(value)
    return [_inner(item) for item in value] if isinstance(value, list) else value
