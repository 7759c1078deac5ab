"""Records each answer that shows patients' data unmasked, before it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request

from service.postgres.engine import autocommit
from service.postgres.queries.audit import Access
from service.web.policy.auth import caller, sees_phi
from service.web.policy.context import engine, reads_replica
from service.web.policy.tracing import request_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg


def record_read(connection: psycopg.Connection[Any], ids: Iterable[str], *, filters: Iterable[str] = ()) -> None:
    """Record that these records are about to be shown to the caller; nothing for one without the scope ``phi``.

    Call it on the connection that reads them, and answer after its transaction is committed, if it has one. Where the
    answer is a stream, take ``access`` while the request is there, and have it record each page before the page is
    sent.

    Args:
        connection: The one that reads. Where that is the replica's, the record is committed on the primary at once.
        ids: Of the appointments, events and quarantined records.
        filters: The names of the filters of a list, without their values.

    Raises:
        ReadNotRecordedError: It could not be recorded: the answer is 503, and the data stays here.
    """
    if not sees_phi():
        return
    if not reads_replica():
        access(filters).record(connection, ids)
        return
    with autocommit(engine()) as primary:
        access(filters).record(primary, ids)


def access(filters: Iterable[str] = ()) -> Access:
    """Say who reads by the request under way; it can be used after that request's context is gone."""
    who = caller()
    rule = request.url_rule.rule if request.url_rule else request.path
    return Access(who.name, f"{request.method} {rule}", who.key_id, request_id(), tuple(filters))
