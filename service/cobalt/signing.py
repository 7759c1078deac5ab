"""Cobalt's webhook signature, which authenticates events."""

import hashlib
import hmac
import re
from collections.abc import Sequence

HEADER = "cobalt-verification"
_SIGNATURE = re.compile("[0-9a-fA-F]{64}")


def sign(raw: bytes, secret: str) -> str:
    """Return the signature of a body: lowercase hex HMAC-SHA256 of its exact bytes, keyed by the secret.

    Source: [P]; the body is what Cobalt serialised, so it must be signed before any parsing.
    """
    return hmac.digest(secret.encode(), raw, hashlib.sha256).hex()


def is_signature(text: str | None) -> bool:
    """Tell whether a `cobalt-verification` header has the form of a signature: 64 hexadecimal digits in either case."""
    return text is not None and _SIGNATURE.fullmatch(text) is not None


def verify(raw: bytes, signature: str | None, secrets: Sequence[str]) -> bool:
    """Tell whether the `cobalt-verification` header signs these bytes with any of the secrets.

    Never raises on what came from outside: a missing, malformed or non-ASCII header is simply wrong. Hex is
    accepted in either case. Several secrets may be valid at once, while Cobalt rotates them [P].
    """
    if signature is None or not signature.isascii():
        return False
    given = signature.lower()
    # All secrets are tried, so that the time taken does not tell which one matched. An empty secret is a
    # setting left blank: anyone could sign with it.
    matches = [hmac.compare_digest(sign(raw, secret), given) for secret in secrets if secret]
    return any(matches)
