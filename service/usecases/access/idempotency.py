"""Idempotency-Key (IETF draft): the first answer to a write is kept, and given again for the same key.

The answer is kept in the transaction that does the work, so that there is never one without the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.domain.canonical_json import canonical
from service.errors import KeyInUseError, KeyReusedError
from service.postgres.engine import transaction
from service.postgres.models import IdempotencyKey
from service.postgres.queries import idempotency

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class WriteAnswer:
    """What a write is answered."""

    http_status: int
    body: dict[str, Any]
    headers: dict[str, Any]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Once:
    """The wish to have something done once.

    Args:
        key_id: Whose API key; keys of different callers never meet.
        key: The header's value.
        call: What was asked for: method and path.
        body: The body, as it came.
        kept_for: How long the first answer is given again.
    """

    key_id: str
    key: str
    call: str
    body: bytes
    kept_for: timedelta

    @property
    def fingerprint(self) -> bytes:
        """What was asked, byte for byte."""
        return hashlib.sha256(f"{self.call}\n".encode() + self.body).digest()

    @property
    def meaning(self) -> bytes:
        """What was asked, however its JSON is written: who repeats a request may write it anew."""
        return hashlib.sha256(f"{self.call}\n".encode() + canonical(self.body)).digest()

    def was_answered_by(self, kept: IdempotencyKey) -> bool:
        """Tell whether an answer was kept for this request, also one that an older version of this service kept."""
        if kept.meaning is None:
            return kept.fingerprint == self.fingerprint
        return kept.meaning == self.meaning


def do_once(
    engine: Engine,
    once: Once | None,
    work: Callable[[Session], WriteAnswer],
    *,
    on_answer: Callable[[Session, WriteAnswer], None] = lambda _session, _answer: None,
) -> WriteAnswer:
    """Do a piece of work in one transaction, once for each idempotency key.

    Only answers to work that was done are kept: after an error nothing has happened, and the same key may try
    again.

    Args:
        engine: Where to do it.
        once: None when the caller sent no key: then it is simply done.
        work: Does it within the given session, and says what to answer.
        on_answer: Called within the same session with every answer, also with one that is given again.

    Raises:
        KeyReusedError: The key was used for another request.
        KeyInUseError: A request with this key is under way at this moment.
    """
    with transaction(engine) as session:
        if once is None:
            answer = work(session)
            on_answer(session, answer)
            return answer
        if not idempotency.try_lock(session, once.key_id, once.key):
            raise KeyInUseError("a request with this Idempotency-Key is under way; ask again in a moment")
        now = datetime.now(UTC)
        kept = session.get(IdempotencyKey, (once.key_id, once.key))
        if kept is not None and kept.expires_at > now:
            if not once.was_answered_by(kept):
                raise KeyReusedError("this Idempotency-Key was used for another request; use a new one")
            answer = WriteAnswer(kept.http_status, kept.body, kept.headers, replayed=True)
            on_answer(session, answer)
            return answer
        answer = work(session)
        session.merge(
            IdempotencyKey(
                key_id=once.key_id,
                key=once.key,
                fingerprint=once.fingerprint,
                meaning=once.meaning,
                http_status=answer.http_status,
                headers=answer.headers,
                body=answer.body,
                expires_at=now + once.kept_for,
            )
        )
        on_answer(session, answer)
        return answer


def forget_answers(engine: Engine) -> dict[str, int]:
    """Forget answers that were kept long enough; returns counts."""
    with transaction(engine) as session:
        return {"forgotten": idempotency.delete_expired(session, now=datetime.now(UTC))}
