import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cobalt.signing import sign, verify
from tests.seed_payloads import SEED_PAYLOADS

RAW = SEED_PAYLOADS["created"]
SECRET = "whsec_one"
OTHER = "whsec_two"


def test_a_signature_is_the_hex_hmac_sha256_of_rfc_4231() -> None:
    assert sign(b"what do ya want for nothing?", "Jefe") == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


@given(st.binary(), st.text(st.characters(codec="utf-8"), min_size=1))
def test_what_was_signed_is_verified(raw: bytes, secret: str) -> None:
    assert verify(raw, sign(raw, secret), [secret])


@given(st.binary(min_size=1), st.data())
def test_a_changed_byte_is_refused(raw: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
    assert not verify(changed, sign(raw, SECRET), [SECRET])


@pytest.mark.parametrize("secrets", [[SECRET, OTHER], [OTHER, SECRET], [OTHER, "", SECRET]])
def test_any_of_the_secrets_may_match(secrets: list[str]) -> None:
    assert verify(RAW, sign(RAW, SECRET), secrets)


def test_every_secret_is_tried_even_after_one_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    compare = hmac.compare_digest

    def counting(left: str, right: str) -> bool:
        compared.append(left)
        return compare(left, right)

    monkeypatch.setattr("service.cobalt.signing.hmac.compare_digest", counting)
    assert verify(RAW, sign(RAW, SECRET), [SECRET, OTHER, "whsec_three"])
    assert len(compared) == 3


def test_hex_is_accepted_in_upper_case() -> None:
    assert verify(RAW, sign(RAW, SECRET).upper(), [SECRET])


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "0" * 64,
        "\u00e9" * 64,
        "\u0660" * 64,
        "\ud800",
        "z" * 64,
        sign(RAW, SECRET)[:-1],
        sign(RAW, SECRET) + "0",
        sign(RAW, OTHER),
        "sha256=" + sign(RAW, SECRET),
    ],
)
def test_a_wrong_or_malformed_signature_is_refused(signature: str | None) -> None:
    assert not verify(RAW, signature, [SECRET])


@given(st.binary(), st.none() | st.text(), st.lists(st.text(st.characters(codec="utf-8"))))
def test_nothing_from_outside_makes_it_raise(raw: bytes, signature: str | None, secrets: list[str]) -> None:
    assert verify(raw, signature, secrets) in (True, False)


def test_an_empty_secret_verifies_nothing() -> None:
    assert not verify(RAW, sign(RAW, ""), [""])


def test_without_secrets_nothing_is_verified() -> None:
    assert not verify(RAW, sign(RAW, SECRET), [])
