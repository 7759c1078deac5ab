"""Waits on the event loop for what the answers of callers wait for; ``service.web.policy.later`` says how it all goes.

One look at PostgreSQL a moment serves all who wait in this process.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import TYPE_CHECKING

from service.errors import AppointmentsError
from service.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from service.usecases.submissions.find_news import Awaited
    from service.web.policy.later import Later
    from service.web.process.messages import Answer, Request
    from service.web.process.threads import ThreadedApp

INTERVAL = 0.1
"""Seconds between looks."""

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", re.ASCII | re.IGNORECASE)

logger = log.get_logger(__name__)


def preferred_wait(asked: Request, longest: int) -> int:
    """Say how many seconds the caller would wait, so many at most; 0 when it would not."""
    found = _WAIT.search(", ".join(value.decode("latin-1") for name, value in asked.headers if name == b"prefer"))
    return min(int(found[1]), longest) if found else 0


class Watch:
    """Looks for all who wait in one process.

    Args:
        find_news: Finds which of these have come about. Runs in a thread.
    """

    def __init__(self, find_news: Callable[[Collection[Awaited]], Collection[Awaited]]) -> None:
        self._find_news = find_news
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self._waiting: dict[asyncio.Future[None], Awaited] = {}
        self._looking: asyncio.Task[None] | None = None
        self._ended = False

    def end(self) -> None:
        """Have nobody wait any more: each is answered as things are."""
        self._ended = True
        for news in self._waiting:
            if not news.done():
                news.set_result(None)

    async def until_news(self, awaited: Awaited, seconds: float) -> None:
        """Wait until it has come about, so long at most."""
        if self._ended:
            return
        loop = asyncio.get_running_loop()
        news: asyncio.Future[None] = loop.create_future()
        self._waiting[news] = awaited
        if self._looking is None or self._looking.done():
            # In no request's context, whose id would be in its log.
            self._looking = loop.create_task(self._look_for_all(), context=Context())
        try:
            await asyncio.wait({news}, timeout=seconds)
        finally:
            del self._waiting[news]

    async def _look_for_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            try:
                found = set(await loop.run_in_executor(self._thread, self._find_news, set(self._waiting.values())))
            except AppointmentsError as error:
                logger.debug("cannot look for changes now", problem=type(error).__name__)
            except Exception:  # those who wait are answered when their time is up
                logger.exception("looking for changes broke")
            else:
                for news, awaited in self._waiting.items():
                    if awaited in found and not news.done():
                        news.set_result(None)
            await asyncio.sleep(INTERVAL)


class PatientApp:
    """Serves an application whose answers may be made later.

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
        answer = await self._app.answer(asked, wait=preferred_wait(asked, self._longest))
        if answer.later is None:
            return answer
        await self._until_due(answer.later, asked)
        return await self._app.finish(answer.later)

    async def _until_due(self, later: Later, asked: Request) -> None:
        """Wait for news as long as the caller would, or until it has left: its request is logged then."""
        news = asyncio.ensure_future(self._watch.until_news(later.awaited, later.seconds))
        gone = asyncio.ensure_future(asked.gone())
        try:
            await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (news, gone):
                task.cancel()
