"""Cursors: any instance reads what another made, and nobody makes one up."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.api.cursors import Cursors
from service.errors import InvalidCursorError

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PLACE = (AT, "appt_01JD")
LISTING: dict[str, Any] = {"status": "failed", "created_from": AT, "overdue": False, "sort": "-created_at"}


def test_every_instance_with_the_same_secret_reads_it() -> None:
    assert Cursors("cs_1").decode(Cursors("cs_1").encode(PLACE, LISTING), dict(reversed(LISTING.items()))) == PLACE


def test_who_has_another_secret_cannot_make_one() -> None:
    with pytest.raises(InvalidCursorError):
        Cursors("cs_1").decode(Cursors("cs_2").encode(PLACE, LISTING), LISTING)


def test_the_secret_does_not_show() -> None:
    cursor = Cursors("canary").encode(PLACE, LISTING)
    assert b"canary" not in base64.urlsafe_b64decode(cursor + "==")


@pytest.mark.parametrize(
    "other",
    [
        LISTING | {"status": "created"},
        LISTING | {"sort": "created_at"},
        LISTING | {"account": "clinic_1"},
        LISTING | {"created_from": AT + timedelta(microseconds=1)},
        LISTING | {"overdue": True},
        {"sort": "-created_at"},
    ],
)
def test_it_is_of_no_use_for_another_list(other: dict[str, Any]) -> None:
    cursors = Cursors("cs_1")
    with pytest.raises(InvalidCursorError):
        cursors.decode(cursors.encode(PLACE, LISTING), other)


def test_whatever_bit_is_altered_it_is_refused() -> None:
    cursors = Cursors("cs_1")
    cursor = cursors.encode(PLACE, LISTING)
    content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(content)):
        altered = bytes([*content[:place], content[place] ^ 1, *content[place + 1 :]])
        with pytest.raises(InvalidCursorError):
            cursors.decode(base64.urlsafe_b64encode(altered).decode().rstrip("="), LISTING)


@pytest.mark.parametrize("wrong", ["", "x", "=", "A" * 5000, "\0", "\U0001f600", "é"])
def test_what_never_was_one_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidCursorError):
        Cursors("cs_1").decode(wrong, LISTING)
