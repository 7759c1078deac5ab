"""Records each answer that shows patients' data unmasked, before it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from service.api.auth import caller, sees_phi
from service.api.context import engine
from service.api.tracing import request_id
from service.db import transaction
from service.store.audit import Access

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session


def record_read(session: Session, ids: Iterable[str], *, filters: Iterable[str] = ()) -> None:
    """Record that these records are about to be shown to the caller; nothing for one without the scope ``phi``.

    Call it in the transaction that reads them, and answer after that is committed. Where the answer is a
    stream, take ``access`` while the request is there, and have it record each page before the page is sent.

    Args:
        session: The one that reads. Where it is on another database than the primary, the record is committed on
            the primary at once.
        ids: Of the appointments, events and quarantined records.
        filters: The names of the filters of a list, without their values.

    Raises:
        ReadNotRecordedError: It could not be recorded: the answer is 503, and the data stays here.
    """
    if not sees_phi():
        return
    if session.get_bind() is engine():
        access(filters).record(session, ids)
        return
    with transaction(engine()) as primary:
        access(filters).record(primary, ids)


def access(filters: Iterable[str] = ()) -> Access:
    """Say who reads by the request under way; it can be used after that request's context is gone."""
    who = caller()
    rule = request.url_rule.rule if request.url_rule else request.path
    return Access(who.name, f"{request.method} {rule}", who.key_id, request_id(), tuple(filters))
