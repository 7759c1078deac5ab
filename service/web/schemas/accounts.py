"""What goes out about accounts, as marshmallow schemas."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from service.domain.account_health import Health, Reason


def _time(description: str) -> Any:  # noqa: ANN401 (marshmallow's)
    return fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": description, "example": "2025-01-01T15:00:00Z"},
    )


class AccountOut(Schema):
    """A linked EHR account: whether calls may be made for it, and what waits."""

    object = fields.String(required=True, validate=validate.Equal("account"))
    id = fields.String(required=True, metadata={"description": "Our name of the account", "example": "clinic_1"})
    is_linked = fields.Boolean(
        required=True,
        metadata={"description": "Whether appointments can be asked for; else what waits was asked for before"},
    )
    health = fields.String(
        required=True,
        validate=validate.OneOf([health.value for health in Health]),
        metadata={"description": "Nothing is sent for an account that is not `healthy`, but for a call that tries it"},
    )
    since = _time("Since when its health is what it is; null where nothing was ever amiss")
    reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf([reason.value for reason in Reason]),
        metadata={"description": "Why; of one that is healthy, what is about to come"},
    )
    remedy = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What a person can do", "example": "Link the account at Cobalt again."},
    )
    next_try_at = _time("When the next call may try it; null where calls need no leave, or a person holds it")
    queue_length = fields.Integer(required=True, metadata={"description": "How many appointments wait to be sent"})
    oldest_queued_at = _time("When that was asked for which waits longest; null where nothing waits")


class AccountListOut(Schema):
    """All accounts."""

    data = fields.List(fields.Nested(AccountOut), required=True)
