"""The call that tries whether an account may be called again, where nothing waits to be sent that could show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from service.errors import AppointmentsError, CobaltError
from service.postgres.engine import transaction
from service.telemetry import log
from service.usecases.access.accounts import get_credentials
from service.usecases.upkeep.account_evidence import ANSWERED, keep, shown_by_asking

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.cobalt import Cobalt
    from service.config import Settings
    from service.domain.account_health import Standing

logger = log.get_logger(__name__)


def try_account(engine: Engine, settings: Settings, client: Cobalt, account: str, standing: Standing) -> None:
    """Try by a question whether Cobalt takes calls of an account again."""
    with structlog.contextvars.bound_contextvars(account=account):
        try:
            with transaction(engine) as session:
                credentials = get_credentials(session, settings, account)
            try:
                client.probe(credentials)
                shown = ANSWERED
            except CobaltError as error:
                shown = shown_by_asking(error)
            keep(engine, settings, account, shown, standing)
        except AppointmentsError as error:  # it is not linked any more, or its token cannot be read
            logger.warning("an account could not be tried", problem=type(error).__name__)
        except Exception:
            logger.exception("trying an account broke")
