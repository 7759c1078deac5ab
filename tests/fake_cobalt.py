"""A Cobalt in memory: answers as a test has laid down, and remembers everything that it was sent and asked."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.cobalt import Accepted, Credentials, Reply
from service.domain.event_walk import PAGE_SIZE, Page
from service.errors import CobaltError
from service.usecases.submissions.ask_cobalt import Asker
from service.usecases.submissions.submit import Submitter

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from sqlalchemy import Engine

    from service.config import Settings


@dataclass
class Sent:
    """A call that books or corrects; ``cobalt_id`` is None when it books."""

    cobalt_id: str | None
    body: dict[str, Any]


@dataclass
class FakeCobalt:
    """In place of ``service.cobalt.Cobalt``.

    Args:
        replies: To the next calls that book or correct; when they are used up, it says yes.
        listed: The entries of its list, whatever is asked for.
        events: Job id -> what ``GET /webhook-events`` shows.
        catalogue_entries: What it lists of providers, locations and visit types.
        all_events: What ``GET /webhook-events`` shows, newest first, where no job is named.
        is_away: It answers no question.
        knows_no_jobs: It answers none about jobs.
        before_reply: Called with each call that books or corrects: the webhook may come before the reply.
    """

    replies: deque[Reply] = field(default_factory=deque)
    listed: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    catalogue_entries: dict[str, list[object]] = field(default_factory=dict)
    all_events: list[dict[str, Any]] = field(default_factory=list)
    is_away: bool = False
    knows_no_jobs: bool = False
    before_reply: Callable[[Sent], object] = lambda _: None
    sent: list[Sent] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    walked: list[tuple[Any, ...]] = field(default_factory=list)

    def create(self, _credentials: Credentials, body: dict[str, Any]) -> Reply:
        return self._take(Sent(None, body))

    def correct(self, _credentials: Credentials, cobalt_id: str, body: dict[str, Any]) -> Reply:
        return self._take(Sent(cobalt_id, body))

    def list_appointments(self, credentials: Credentials, *, first: date, last: date, mrn: str) -> list[dict[str, Any]]:
        self.asked.append(("list", credentials.account, first, last, mrn))
        self._answer()
        return self.listed

    def list_events(self, credentials: Credentials, *, first: date, last: date, page: int) -> Page[dict[str, Any]]:
        self.walked.append((credentials.account, first, last, page))
        self._answer()
        pages = max(1, -(-len(self.all_events) // PAGE_SIZE))
        return Page(self.all_events[(page - 1) * PAGE_SIZE : page * PAGE_SIZE], pages, len(self.all_events))

    def events_of_job(self, credentials: Credentials, job_id: str) -> list[dict[str, Any]]:
        self.asked.append(("events", credentials.account, job_id))
        if self.knows_no_jobs:
            raise CobaltError("Cobalt answered HTTP 404")
        self._answer()
        return self.events.get(job_id, [])

    def catalogue(self, credentials: Credentials) -> dict[str, list[object]]:
        self.asked.append(("catalogue", credentials.account))
        self._answer()
        return {"providers": [], "locations": [], "visit_types": []} | self.catalogue_entries

    def _take(self, call: Sent) -> Reply:
        self.sent.append(call)
        self.before_reply(call)
        if self.replies:
            return self.replies.popleft()
        return Accepted(call.cobalt_id or f"cobalt_{len(self.sent)}", None, datetime.now(UTC))

    def _answer(self) -> None:
        if self.is_away:
            raise CobaltError("Cobalt answered HTTP 503")


def look(engine: Engine, settings: Settings, cobalt: FakeCobalt) -> dict[str, int]:
    """Ask about everything that is due, as a worker does; returns counts."""
    client: Any = cobalt
    asker = Asker(engine, settings, client)
    counts = asker.run_once()
    asker.finish()
    return counts


def work(engine: Engine, settings: Settings, cobalt: FakeCobalt) -> dict[str, int]:
    """Make every due call, as a worker does; returns counts."""
    client: Any = cobalt
    submitter = Submitter(engine, settings, client)
    counts = submitter.run_once()
    submitter.finish()
    return counts
