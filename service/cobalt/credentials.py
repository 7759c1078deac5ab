"""What calls on behalf of an account need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call on behalf of one account needs.

    Args:
        account: Our name for it.
        reference: Cobalt's ``access_token_reference_id``.
        access_token: One per linked EHR account [S].
        time_format: How ``date`` and ``time`` go out; see ``service.domain.request_fields.as_sent``.
        timezone: The IANA zone of the account's clinics.
    """

    account: str
    reference: str
    access_token: str
    time_format: str = "as_given"
    timezone: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(account={self.account!r})"
