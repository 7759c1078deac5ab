"""Which zone a name means, in whatever notation a system writes it, and which names mean none."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from service.domain.zones import find_zone, is_zone

NOBODYS = [
    "",
    "America",
    "America/Springfield",
    "Mars/Olympus_Mons",
    "Factory",
    "localtime",
    "posixrules",
    "posix/America/New_York",
    "right/America/New_York",
    "zone.tab",
    "../etc/passwd",
    "/etc/localtime",
    "Eastern",
    "UTC\0",
    "a" * 5000,
]


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("America/New_York", "America/New_York"),
        ("america/new_york", "America/New_York"),
        ("AMERICA/NEW_YORK", "America/New_York"),
        ("America/New York", "America/New_York"),
        (" America/New_York\n", "America/New_York"),
        ("US/Eastern", "US/Eastern"),
        ("utc", "UTC"),
        ("Etc/GMT+5", "Etc/GMT+5"),
        ("Eastern Standard Time", "America/New_York"),
        ("eastern standard time", "America/New_York"),
        ("Central Standard Time", "America/Chicago"),
        ("US Mountain Standard Time", "America/Phoenix"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("UTC-11", "Etc/GMT+11"),
    ],
)
def test_a_zone_is_known_by_its_iana_and_its_windows_name_in_any_letter_case(name: str, zone: str) -> None:
    assert find_zone(name) == ZoneInfo(zone)


@pytest.mark.parametrize("name", NOBODYS)
def test_what_iana_and_windows_do_not_list_is_no_zone_whatever_files_there_are(name: str) -> None:
    assert find_zone(name) is None
    assert not is_zone(name)


def test_a_setting_names_a_zone_as_iana_does() -> None:
    assert is_zone("America/New_York")
    assert is_zone("US/Eastern")
    for other in ("america/new_york", " America/New_York", "Eastern Standard Time"):
        assert not is_zone(other)
