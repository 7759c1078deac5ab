"""``Prefer: wait=N`` (RFC 7240): an answer that comes when there is something new, or after N seconds.

Who waits holds no thread and no connection: a view says what its answer waits for, the event loop waits, and the view
answers once more. One look at PostgreSQL a moment serves all who wait in this process.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import request

from service.errors import AppointmentsError
from service.postgres.engine import transaction
from service.postgres.queries.changes import find_end, find_settled, find_versions
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping

    from flask import Response
    from sqlalchemy import Engine

    from service.web.process.messages import Answer, Request
    from service.web.process.threads import ThreadedApp

CHANGES = "changes"
"""What those wait for who follow the feed."""
SETTLED = "settled:"
INTERVAL = 0.1
"""Seconds between looks."""
WAIT_FOR = "Service-Wait-For"
"""The header by which a view says what it waits for; no caller sees it."""

_HEADER = WAIT_FOR.lower().encode()
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", re.ASCII | re.IGNORECASE)

logger = log.get_logger(__name__)


def preferred_wait(asked: Request, longest: int) -> int:
    """Say how many seconds the caller would wait, so many at most; 0 when it would not."""
    found = _WAIT.search(", ".join(value.decode("latin-1") for name, value in asked.headers if name == b"prefer"))
    return min(int(found[1]), longest) if found else 0


def would_wait() -> bool:
    """Tell whether the caller of the request under way would wait for news."""
    return "service.wait" in request.environ


def wait_for(response: Response, what: str, known: str, again: str) -> Response:
    """Have an answer wait for news, if the caller would wait.

    Args:
        response: What is answered if there are none.
        what: An appointment's id, ``until_settled`` of one, or ``CHANGES``.
        known: How that is now; news sort behind it.
        again: What the view is told by ``found_anew`` when it answers once more.
    """
    if would_wait():
        response.headers[WAIT_FOR] = f"{what} {known} {again}"
    return response


def as_known(version: int, row_id: str = "") -> str:
    """Write a version, or a position in the feed, so that later ones sort behind it."""
    return f"{version:020}{row_id}"


def until_settled(appointment_id: str) -> str:
    """Name what a write waits for: not the next step of the submission, but the outcome."""
    return f"{SETTLED}{appointment_id}"


def found_anew() -> str | None:
    """Say what a view that answers once more was to be told; None when it answers for the first time."""
    found: str | None = request.environ.get("service.again")
    return found


def look(engine: Engine, awaited: Collection[str]) -> dict[str, str]:
    """Find how everything is now that callers wait for."""
    asked_for = {one.removeprefix(SETTLED) for one in awaited if one.startswith(SETTLED)}
    with transaction(engine) as session:
        found = {one: as_known(version) for one, version in find_versions(session, awaited).items()}
        found |= {until_settled(one): as_known(1) for one in find_settled(session, asked_for)}
        if CHANGES in awaited:
            end = find_end(session)
            found[CHANGES] = as_known(end.number, end.appointment_id)
    return found


class Watch:
    """Looks for all who wait in one process.

    Args:
        look: Called with what is waited for; finds how each is now, as ``as_known`` writes it. Runs in a thread.
    """

    def __init__(self, look: Callable[[Collection[str]], Mapping[str, str]]) -> None:
        self._look = look
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self._waiting: dict[asyncio.Future[None], tuple[str, str]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._ended = False

    def end(self) -> None:
        """Have nobody wait any more: each is answered as things are."""
        self._ended = True
        for news in self._waiting:
            if not news.done():
                news.set_result(None)

    async def changed(self, what: str, known: str, seconds: float) -> bool:
        """Wait for news; False when the time has passed."""
        if self._ended:
            return False
        loop = asyncio.get_running_loop()
        news: asyncio.Future[None] = loop.create_future()
        self._waiting[news] = (what, known)
        if self._looking is None or self._looking.done():
            # In no request's context, whose id would be in its log.
            self._looking = loop.create_task(self._look_for_all(), context=Context())
        try:
            async with asyncio.timeout(seconds):
                await news
        except TimeoutError:
            return False
        finally:
            del self._waiting[news]
        return True

    async def _look_for_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            try:
                found = await loop.run_in_executor(
                    self._thread, self._look, {what for what, _ in self._waiting.values()}
                )
            except AppointmentsError as error:
                logger.debug("cannot look for changes now", problem=type(error).__name__)
            except Exception:  # those who wait are answered when their time is up
                logger.exception("looking for changes broke")
            else:
                for news, (what, known) in self._waiting.items():
                    if found.get(what, known) > known and not news.done():
                        news.set_result(None)
            await asyncio.sleep(INTERVAL)


class PatientApp:
    """Serves an application whose answers may wait.

    Args:
        app: The application.
        watch: Looks for what is waited for.
        longest: Seconds that anybody may wait.
    """

    def __init__(self, app: ThreadedApp, watch: Watch, longest: int) -> None:
        self._app = app
        self._watch = watch
        self._longest = longest

    async def answer(self, asked: Request) -> Answer:
        """Answer one request, when its answer is due."""
        seconds = preferred_wait(asked, self._longest)
        if not seconds:
            return await self._app.answer(asked)
        first = await self._app.answer(asked, wait=seconds)
        awaited = _taken_out(first)
        if awaited is None:
            return first
        what, known, again = awaited
        if await self._is_gone_before(asked, self._watch.changed(what, known, seconds)):
            return first  # nobody reads it
        same_id = [header for header in first.headers if header[0] == b"x-request-id"]
        others = [header for header in asked.headers if header[0] != b"x-request-id"]
        made = await self._app.answer(asked.with_headers(others + same_id), again=again)
        if made.status >= HTTPStatus.BAD_REQUEST and asked.method not in {"GET", "HEAD"}:
            made = first  # what was done stays done, whatever is the matter now
        _taken_out(made)
        said = {name for name, _ in made.headers}
        made.headers += [header for header in first.headers if header[0] not in said]
        made.headers.append((b"preference-applied", b"wait=%d" % seconds))
        return made

    @staticmethod
    async def _is_gone_before(asked: Request, change: Coroutine[None, None, bool]) -> bool:
        """Wait for a change, but no longer than the client does."""
        news = asyncio.ensure_future(change)
        gone = asyncio.ensure_future(asked.gone())
        try:
            await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
            return gone.done() and not news.done()
        finally:
            for task in (news, gone):
                task.cancel()


def _taken_out(made: Answer) -> list[str] | None:
    """Take what an answer waits for out of its headers: what, known, again."""
    found = [value for name, value in made.headers if name == _HEADER]
    made.headers = [header for header in made.headers if header[0] != _HEADER]
    return found[0].decode("latin-1").split(" ", 2) if found else None
