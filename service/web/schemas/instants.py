"""Times as parameters of a request."""

from __future__ import annotations

from marshmallow import fields

from service.domain.times import LIKE_RFC_3339, read_instant


class Instant(fields.AwareDateTime):
    """A time with its offset, as RFC 3339 writes it."""

    DESERIALIZATION_FUNCS = {"iso": read_instant}  # noqa: RUF012 (marshmallow declares it like this)
    default_error_messages = {  # noqa: RUF012 (the same)
        "invalid": f"Must be {LIKE_RFC_3339}; write the + of an offset as %2B."
    }
