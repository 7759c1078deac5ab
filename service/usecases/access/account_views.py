"""Show how accounts are: their health, and what waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.domain.account_health import REMEDIES, Standing
from service.postgres.queries import account_health
from service.usecases.access.accounts import account_timezones

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.config import AccountSettings
    from service.postgres.queries.account_health import Queue


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account.

    Args:
        name: Ours.
        is_linked: Whether it can be submitted for; else only what was asked for before it was removed is left.
        standing: Its health.
        queue: What waits to be sent; None where nothing does.
    """

    name: str
    is_linked: bool
    standing: Standing
    queue: Queue | None

    @property
    def remedy(self) -> str | None:
        """What a person can do; None where nothing is to be done."""
        return self.standing.reason and REMEDIES[self.standing.reason]


def view_accounts(session: Session, settings: AccountSettings, only: str | None = None) -> list[AccountView]:
    """View the accounts: those that are linked, the environment's first, and then those for which something waits.

    Args:
        session: A reading one will do.
        settings: For the environment's account.
        only: Only the account of this name, if there is one.
    """
    linked = account_timezones(session, settings)
    standings = account_health.find_all(session)
    queues = account_health.find_queues(session, only)
    names = [*linked, *sorted(queues.keys() - linked.keys())]
    return [
        AccountView(name, name in linked, standings.get(name, Standing()), queues.get(name))
        for name in names
        if only in {None, name}
    ]
