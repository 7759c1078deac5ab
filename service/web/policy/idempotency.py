"""The header Idempotency-Key, for every write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import request

from service.errors import InvalidHeaderError
from service.postgres.engine import driver
from service.postgres.queries.api_keys import note_write
from service.usecases.access.idempotency import Once, do_once
from service.web.policy.answers import json_answer
from service.web.policy.auth import caller
from service.web.policy.context import engine, find_replica, settings
from service.web.policy.etags import appointment_answer
from service.web.policy.reads import record_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Response
    from sqlalchemy.orm import Session

    from service.usecases.access.idempotency import WriteAnswer

_GOOD = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


def answer_once(work: Callable[[Session], WriteAnswer]) -> Response:
    """Do the work of a write once for each Idempotency-Key, and answer it.

    Args:
        work: Does it in the given session; it must call nothing but the database.
    """
    answer = do_once(engine(), _once(), work, on_answer=_finish)
    headers = answer.headers | ({"Idempotent-Replayed": "true"} if answer.replayed else {})
    make = appointment_answer if _shows_appointment(answer) else json_answer
    return make(answer.body, answer.http_status, headers)


def _shows_appointment(answer: WriteAnswer) -> bool:
    return answer.body.get("object") == "appointment"


def _finish(session: Session, answer: WriteAnswer) -> None:
    if _shows_appointment(answer):
        record_read(driver(session), [answer.body["id"]])
    if find_replica() and not answer.replayed:
        session.flush()
        note_write(session, caller().key_id)


def _once() -> Once | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _GOOD.fullmatch(key):
        raise InvalidHeaderError("Idempotency-Key", "must be 1 to 255 visible ASCII characters, like a UUID")
    call = f"{request.method} {request.path}"
    return Once(caller().key_id, key, call, request.get_data(), settings().idempotency_ttl)
