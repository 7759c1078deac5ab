"""Answers that are made later, for callers that ask for that with ``Prefer: wait=N`` (RFC 7240).

What happens to such a request, in order:

1. ``PatientApp`` (``service.web.process.waiting``) reads the header on the event loop, and has a thread call Flask.
2. The request is authenticated and its rate is limited, like any other. The view finds nothing new to say, and returns
   ``answer_later(awaited, then)``: what it waits for, and the function that will answer. Nothing is logged yet.
3. The thread hands this to the event loop as ``Answer.later``. From here on the caller holds no thread, no connection
   to PostgreSQL, and no place among the requests in flight.
4. There is news, or the time is up, or the caller has left. A thread calls ``Later.finish``, and that calls ``then``,
   which reads, records what it shows, and answers. This answer is sent, logged and counted: there is no other.
"""

from __future__ import annotations

from contextvars import Context, copy_context
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, current_app, request

from service.web.policy import context, tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from service.usecases.submissions.find_news import Awaited

WAIT = "service.wait"
"""Where the event loop tells the view how many seconds the caller would wait, in ``environ``."""
LATER = "service.later"
"""Where the view leaves its ``Later`` for the event loop, in ``environ``."""


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that is still to be made.

    Args:
        awaited: What it waits for.
        then: Makes it, as a view would, in the context of the request.
        seconds: How long the caller would wait.
        environ: Of the request.
        context: What is known of the request: Flask's objects, the caller, the ids in the log.
    """

    awaited: Awaited
    then: Callable[[], Response]
    seconds: int
    environ: WSGIEnvironment
    context: Context

    def finish(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer now: a WSGI application, to be called once with ``environ`` and within ``context``.

        It does what Flask does around a view, but for the hooks before it: those were called when the request came in.
        """
        tracing.go_on()
        context.forget_reads()
        try:
            answer = self.then()
        except Exception as error:  # noqa: BLE001 (the handlers of errors log what nobody foresaw)
            answer = current_app.make_response(current_app.handle_user_exception(error))
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            answer.headers.add("Preference-Applied", f"wait={self.seconds}")
        return current_app.process_response(answer)(environ, start_response)


def would_wait() -> bool:
    """Tell whether the caller of the request under way would wait for news."""
    return WAIT in request.environ


def answer_later(awaited: Awaited, then: Callable[[], Response]) -> Response:
    """Put the answer to the request under way off; to be returned by a view whose caller would wait.

    Args:
        awaited: What to wait for.
        then: Makes the answer when that has come about, or the time is up.
    """
    environ = request.environ
    environ[LATER] = Later(awaited, then, environ[WAIT], environ, copy_context())
    tracing.pause()
    return Response(status=HTTPStatus.NO_CONTENT)  # Flask wants something; it is not sent
