"""Accounts that Cobalt refuses for a time: a login that does not work any more, too many calls, or Cobalt is unwell."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from service.lab.sandbox.fields import RefusedError

LOGIN_REQUIRED = "login_required"
MESSAGES = {
    401: "Invalid access_token",
    403: LOGIN_REQUIRED,
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}
"""Status -> what goes with it. Of a 403 it is Cobalt's code; a plain one says something else."""
PLAIN = "Forbidden"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """How an account is refused, and until when on the clock that never goes back; None for no end."""

    status: int = 403
    message: str = LOGIN_REQUIRED
    retry_after: int | None = None
    until: float | None = None


class Refusals:
    """Which accounts are refused, and how often each was."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._refused: dict[str, Refusal] = {}
        self._lock = threading.Lock()

    def replace(self, accounts: Iterable[str], refusal: Refusal) -> list[str]:
        """Refuse these accounts and no others; which they are."""
        with self._lock:
            self._refused = dict.fromkeys(accounts, refusal)
            return sorted(self._refused)

    def check(self, account: str) -> None:
        """Let a call of an account through.

        Raises:
            RefusedError: the account is refused now.
        """
        with self._lock:
            refusal = self._refused.get(account)
            if refusal is None:
                return
            if refusal.until is not None and time.monotonic() >= refusal.until:
                del self._refused[account]
                return
            self.counts[account] += 1
        raise RefusedError(refusal.status, refusal.message, retry_after=refusal.retry_after)


def read_refusal(body: object) -> Refusal:
    """How to refuse, as the control API is told; by default a login that does not work any more, without an end.

    Raises:
        RefusedError: 400.
    """
    told = body if isinstance(body, dict) else {}
    status, seconds, retry_after = (told.get(name) for name in ("status", "seconds", "retry_after"))
    if status is not None and status not in MESSAGES:
        raise RefusedError(400, f"status must be one of {', '.join(map(str, MESSAGES))}")
    for name, value in (("seconds", seconds), ("retry_after", retry_after)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise RefusedError(400, f"{name} must be a number")
    chosen = 403 if status is None else int(status)
    return Refusal(
        status=chosen,
        message=PLAIN if told.get("plain") is True else MESSAGES[chosen],
        retry_after=None if retry_after is None else int(retry_after),
        until=None if seconds is None else time.monotonic() + seconds,
    )
