"""Whether a request names what the account's EHR knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from service.domain.catalogue import Catalogue, Entry, find_unknown, read_entries

AT = datetime(2026, 11, 27, 9, tzinfo=UTC)
KNOWN = Catalogue(
    {
        "providers": [Entry("99999", "Doe, John", "0af1"), Entry("88888", "Smith, Jane", "0af2")],
        "locations": [Entry("2452", "Happy Clinic")],
        "visit_types": [Entry("new_patient", "New Patient Visit (in-person)"), Entry("televisit1", "televisit1")],
    },
    AT,
)
GOOD = {"provider": "99999", "location": "2452", "type": "new_patient", "mrn": "7"}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"secondary_provider": "88888"},
        {"secondary_provider": None},
        {"type": "New Patient Visit (in-person)"},
        {"provider": " 99999 "},
    ],
)
def test_what_is_listed_is_known(changed: dict[str, Any]) -> None:
    assert find_unknown(KNOWN, GOOD | changed) == {}


@pytest.mark.parametrize(
    ("changed", "pointer", "nearest"),
    [
        ({"type": "new_pateint"}, "/type", '"new_patient" (New Patient Visit (in-person))'),
        ({"type": "NEW_PATIENT"}, "/type", '"new_patient" (New Patient Visit (in-person))'),
        ({"provider": "Doe, John"}, "/provider", '"99999" (Doe, John)'),
        ({"provider": "0af1"}, "/provider", '"99999" (Doe, John)'),
        ({"secondary_provider": "88889"}, "/secondary_provider", '"88888" (Smith, Jane)'),
        ({"location": "2542"}, "/location", '"2452" (Happy Clinic)'),
    ],
)
def test_what_is_not_listed_is_named_with_the_nearest(changed: dict[str, str], pointer: str, nearest: str) -> None:
    [(found, detail)] = find_unknown(KNOWN, GOOD | changed).items()
    assert found == pointer
    assert detail.partition("; nearest: ")[2].startswith(nearest)
    assert "2026-11-27T09:00:00Z" in detail


def test_without_anything_near_it_says_how_many_there_are() -> None:
    assert find_unknown(KNOWN, GOOD | {"provider": "zzz"}) == {
        "/provider": "is not among the account's providers at 2026-11-27T09:00:00Z; there are 2, see the account's "
        "catalogue"
    }


def test_an_empty_list_judges_nothing() -> None:
    assert find_unknown(Catalogue({"providers": []}, AT), {"provider": "anybody", "type": "anything"}) == {}


@pytest.mark.parametrize(
    ("kind", "listed", "entries"),
    [
        (
            "providers",
            [
                {"id": "0af1", "ehr_id": "99999", "name": "Doe, John", "hours": []},
                {"ehr_id": 7},
                {"name": "nobody"},
                5.5,
            ],
            [Entry("99999", "Doe, John", "0af1"), Entry("7")],
        ),
        ("providers", [{"ehr_id": "1", "name": "first"}, {"ehr_id": "1", "name": "second"}], [Entry("1", "second")]),
        ("visit_types", ["new_patient", 12], [Entry("new_patient"), Entry("12")]),
        (
            "visit_types",
            [{"code": "new_patient", "description": "New Patient Visit"}, {"code": ""}, None, True],
            [Entry("new_patient", "New Patient Visit")],
        ),
    ],
)
def test_every_published_shape_of_a_list_is_read(kind: str, listed: list[object], entries: list[Entry]) -> None:
    assert read_entries(kind, listed) == entries
