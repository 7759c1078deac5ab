"""What Cobalt's replies show about an account, and how it is kept."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from service import cobalt
from service.domain.account_health import Cause, Evidence, Reason
from service.errors import CobaltError, DatabaseUnavailableError
from service.postgres.engine import transaction
from service.postgres.queries import account_health
from service.telemetry import log
from service.usecases.upkeep.account_health import note, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from service.config import Settings
    from service.domain.account_health import Standing

logger = log.get_logger(__name__)

SERVER_ERRORS = 500
ANSWERED = Evidence(Cause.ANSWERED, of_a_question=True)
"""What a question shows that is answered."""


def shown_by(reply: cobalt.Reply) -> Evidence:
    """Say what a reply to a call that books, or that there is none, shows."""
    match reply:
        case cobalt.Accepted() | cobalt.Rejected():
            return Evidence(Cause.ANSWERED)
        case cobalt.Throttled():
            return Evidence(Cause.SLOWED, Reason.TOO_MANY_REQUESTS, wait=reply.retry_after)
        case cobalt.Unauthorized():
            return Evidence(Cause.REFUSED, _why_refused(reply))
        case cobalt.Unclear(http_status=int(status)) if status >= SERVER_ERRORS:
            return Evidence(Cause.SLOWED, Reason.COBALT_ERROR, wait=reply.retry_after)
    return Evidence(Cause.UNREACHED)


def _why_refused(reply: cobalt.Unauthorized) -> Reason:
    if reply.login_required:
        return Reason.LOGIN_REQUIRED
    return Reason.TOKEN_REFUSED if reply.http_status == HTTPStatus.UNAUTHORIZED else Reason.FORBIDDEN


def shown_by_asking(error: CobaltError) -> Evidence:
    """Say what the error that a question ended in shows."""
    if not isinstance(error, cobalt.NotGrantedError):
        return Evidence(Cause.UNREACHED)
    shown = shown_by(error.reply)
    # That what was asked about is not there is an answer too.
    return ANSWERED if shown.cause is Cause.ANSWERED else shown


def is_refusal(error: CobaltError) -> bool:
    """Tell whether a question was refused because of its account: then no other would fare better now."""
    return shown_by_asking(error).cause in {Cause.REFUSED, Cause.SLOWED}


def keep(engine: Engine, settings: Settings, account: str, evidence: Evidence, standing: Standing) -> None:
    """Keep what a call showed about its account; where PostgreSQL is away, the next call shows it again.

    Args:
        engine: Where the accounts' health is.
        settings: For the interval between two calls that try.
        account: Whose call it was.
        evidence: What it showed.
        standing: Where the account stood when the call was begun.
    """
    if evidence.cause in {Cause.ANSWERED, Cause.UNREACHED} and not standing.awaits_an_answer:
        return
    try:
        with transaction(engine) as session:
            change = note(
                session,
                account,
                evidence,
                now=datetime.now(UTC),
                interval=settings.account_probe_interval,
                version=standing.version,
            )
    except DatabaseUnavailableError as error:
        logger.warning("what a call showed of its account could not be kept", problem=type(error).__name__)
        return
    tell([change])


@contextmanager
def watching(engine: Engine, settings: Settings, account: str) -> Iterator[None]:
    """Keep what the question that is asked inside shows about its account.

    Raises:
        CobaltError: What the question raised.
    """
    with transaction(engine) as session:
        standing = account_health.find(session, account)
    try:
        yield
    except CobaltError as error:
        keep(engine, settings, account, shown_by_asking(error), standing)
        raise
    keep(engine, settings, account, ANSWERED, standing)
