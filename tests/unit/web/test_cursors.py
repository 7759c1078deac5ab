"""Cursors: any instance reads what another made, nobody makes one up, and nobody sees what a list is narrowed by."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from service.errors import InvalidCursorError
from service.web.policy.cursors import Cursors

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PLACE = (AT, "appt_01JD")
CARRIED = {"mrn": "canary-\U0001f469 123456789", "status": "failed"}
USE = "appointments"


def content(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def test_every_instance_with_the_same_secret_reads_it() -> None:
    assert Cursors("cs_1").decode(Cursors("cs_1").encode(PLACE, CARRIED, USE), USE) == (PLACE, CARRIED)


def test_the_same_place_of_the_same_list_has_the_same_cursor() -> None:
    assert Cursors("cs_1").encode(PLACE, CARRIED, USE) == Cursors("cs_1").encode(PLACE, CARRIED, USE)


def test_who_has_another_secret_cannot_make_one() -> None:
    with pytest.raises(InvalidCursorError):
        Cursors("cs_1").decode(Cursors("cs_2").encode(PLACE, CARRIED, USE), USE)


def test_neither_the_secret_nor_what_it_carries_shows() -> None:
    seen = content(Cursors("the secret").encode(PLACE, CARRIED, USE))
    for shown in (b"secret", b"canary", b"123456789", b"mrn", b"failed", b"appt_01JD", b"2026"):
        assert shown not in seen


def test_it_is_of_no_use_for_another_list() -> None:
    cursors = Cursors("cs_1")
    with pytest.raises(InvalidCursorError):
        cursors.decode(cursors.encode(PLACE, CARRIED, USE), "events")


def test_whatever_bit_is_altered_it_is_refused() -> None:
    cursors = Cursors("cs_1")
    good = content(cursors.encode(PLACE, CARRIED, USE))
    for place in range(len(good)):
        altered = bytes([*good[:place], good[place] ^ 1, *good[place + 1 :]])
        with pytest.raises(InvalidCursorError):
            cursors.decode(base64.urlsafe_b64encode(altered).decode().rstrip("="), USE)


WRONG = ["", "x", "=", "A" * 5000, "\0", "\U0001f600", "é"]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_never_was_one_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidCursorError):
        Cursors("cs_1").decode(wrong, USE)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_never_was_sealed_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidCursorError):
        Cursors("cs_1").unseal(wrong, {"feed": "changes"})


def test_a_sealed_place_is_for_its_use_alone_and_cannot_be_altered() -> None:
    cursors = Cursors("cs_1")
    sealed = cursors.seal([1, "appt_01JD"], {"feed": "changes"})
    assert Cursors("cs_1").unseal(sealed, {"feed": "changes"}) == [1, "appt_01JD"]
    good = content(sealed)
    altered = [bytes([*good[:place], good[place] ^ 1, *good[place + 1 :]]) for place in range(len(good))]
    for reader, cursor, feed in (
        (cursors, sealed, "another"),
        (Cursors("cs_2"), sealed, "changes"),
        *((cursors, base64.urlsafe_b64encode(one).decode().rstrip("="), "changes") for one in altered),
    ):
        with pytest.raises(InvalidCursorError):
            reader.unseal(cursor, {"feed": feed})
