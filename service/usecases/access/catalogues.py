"""Catalogues: fetch what each account's EHR knows, and refuse requests that name something else.

A typing error in a visit type would otherwise cost a robot's run and minutes.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.domain.catalogue import find_unknown, read_entries
from service.errors import AppointmentsError, InvalidFieldsError, NotFoundError
from service.postgres.engine import transaction
from service.postgres.queries import account_health, catalogues
from service.telemetry import log, metrics
from service.usecases.access.accounts import account_timezones, get_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from service.cobalt import Cobalt
    from service.config import AccountSettings, Settings
    from service.domain.catalogue import Catalogue

logger = log.get_logger(__name__)


class Refresher:
    """Fetches the catalogues that are due, one at a time, beside the worker's other calls.

    Args:
        engine: Where they are kept.
        settings: For accounts and the interval.
        client: The client to Cobalt.
    """

    def __init__(self, engine: Engine, settings: Settings, client: Cobalt) -> None:
        self._engine = engine
        self._settings = settings
        self._client = client
        self._calls = ThreadPoolExecutor(1, thread_name_prefix="catalogue")
        self._running: Future[None] | None = None

    def run_once(self) -> dict[str, int]:
        """Start fetching one that is due, unless one is under way; return counts."""
        if self._running and not self._running.done():
            return {"started": 0}
        now = datetime.now(UTC)
        with transaction(self._engine) as session:
            accounts = account_health.may_be_called(session, account_timezones(session, self._settings))
            until = now + self._settings.catalogue_interval
            account = catalogues.claim(session, accounts, now=now, until=until)
        if account is not None:
            self._running = self._calls.submit(self._fetch, account)
        return {"started": int(account is not None)}

    def finish(self) -> None:
        """Wait for the one that is under way."""
        self._calls.shutdown(wait=True)

    def _fetch(self, account: str) -> None:
        try:
            fetch_catalogue(self._engine, self._settings, self._client, account)
        except AppointmentsError as error:
            logger.warning("the catalogue could not be fetched", account=account, problem=str(error))
        except Exception:
            logger.exception("fetching a catalogue broke", account=account)


def fetch_catalogue(engine: Engine, settings: AccountSettings, client: Cobalt, account: str) -> dict[str, int]:
    """Fetch an account's providers, locations and visit types from Cobalt, and keep them.

    Returns:
        How many there are of each.

    Raises:
        NotFoundError: There is no such account.
        CobaltError: Cobalt did not answer all three; what was kept before stays, and grows old.
    """
    with transaction(engine) as session:
        credentials = get_credentials(session, settings, account)
        catalogues.ensure(session, [account], now=datetime.now(UTC))
    try:
        lists = client.catalogue(credentials)
    except AppointmentsError as error:
        with transaction(engine) as session:
            catalogues.note_problem(session, account, str(error))
        raise
    entries = {kind: read_entries(kind, found) for kind, found in lists.items()}
    with transaction(engine) as session:
        catalogues.keep(session, account, entries, now=datetime.now(UTC))
    return {kind: len(found) for kind, found in entries.items()}


def find_catalogue(session: Session, settings: AccountSettings, account: str) -> Catalogue | None:
    """Find what requests for an account are checked against; None where nothing is fresh, or it is switched off."""
    since = datetime.now(UTC) - settings.catalogue_max_age
    return catalogues.find_fresh(session, account, since=since)


def refuse_unknown(session: Session, settings: AccountSettings, account: str, fields: Mapping[str, Any]) -> None:
    """Check a request against the account's catalogue.

    Raises:
        InvalidFieldsError: It names a visit type, provider or location that a fresh catalogue does not list.
    """
    catalogue = find_catalogue(session, settings, account)
    unknown = find_unknown(catalogue, fields) if catalogue else {}
    if unknown:
        for pointer in unknown:
            metrics.preflight_refusals.labels(pointer.removeprefix("/")).inc()
        raise InvalidFieldsError(unknown)


def switch_preflight(session: Session, settings: AccountSettings, account: str, *, on: bool) -> None:
    """Switch the check of an account's requests on or off.

    Raises:
        NotFoundError: There is no such account.
    """
    if account not in account_timezones(session, settings):
        raise NotFoundError(f"there is no account {account!r}")
    catalogues.set_preflight(session, account, on=on)
