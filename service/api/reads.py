"""Records each answer that shows patients' data unmasked, before it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from service.api.auth import caller, sees_phi
from service.api.tracing import request_id
from service.store.audit import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session


def record_read(session: Session, ids: Iterable[str], *, filters: Iterable[str] = ()) -> None:
    """Record that these records are about to be shown to the caller; nothing for one without the scope ``phi``.

    Call it in the transaction that reads them, and answer after that is committed. Where the answer is a
    stream, take ``reading`` while the request is there, and have it record each page before the page is sent.

    Args:
        session: Of a database that takes writes: one that does not cannot show patients' data.
        ids: Of the appointments, events and quarantined records.
        filters: The names of the filters of a list, without their values.

    Raises:
        ReadNotRecordedError: It could not be recorded: the answer is 503, and the data stays here.
    """
    if sees_phi():
        reading(filters).record(session, ids)


def reading(filters: Iterable[str] = ()) -> Reading:
    """Say who reads by the request under way; it can be used after that request's context is gone."""
    who = caller()
    rule = request.url_rule.rule if request.url_rule else request.path
    return Reading(who.name, f"{request.method} {rule}", who.key_id, request_id(), tuple(filters))
