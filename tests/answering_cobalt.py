"""Stands in for Cobalt over real HTTP where a test must hold, count or choose the answers itself."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

PATIENCE = 10  # seconds until a held call is answered whatever happens


@dataclass(frozen=True)
class Call:
    """One call, as it came in."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class Answer:
    """What a call is answered."""

    status: int
    json: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def take(call: Call) -> Answer:
    """Accept a call under an id that no other call got."""
    return Answer(200, {"success": True, "data": {"appointment_id": f"cobalt_{call.number}", "message": "Processing"}})


class AnsweringCobalt:
    """A server that answers each call as ``answer`` says, and holds every call while ``open`` is not set.

    Questions it answers as ``get`` says, and does not count.
    """

    def __init__(self, answer: Callable[[Call], Answer] = take) -> None:
        self.answer = answer
        self.get: Callable[[str], Answer] = lambda _path: Answer(200, {"webhook_events": [], "appointments": []})
        self.open = threading.Event()
        self.open.set()
        self.calls: list[Call] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    def tokens(self) -> list[str]:
        """List the access tokens of the calls, in the order they came."""
        return [call.headers["access_token"] for call in self.calls]

    def _take(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        with self._lock:
            call = Call(next(self._numbers), method, path, headers, json.loads(body))
            self.calls.append(call)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            self.open.wait(PATIENCE)
            return self.answer(call)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._say(fake._take(self.command, self.path, dict(self.headers), body))

            def do_GET(self) -> None:
                self._say(fake.get(self.path))

            def _say(self, answer: Answer) -> None:
                content = json.dumps(answer.json).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_PATCH = do_POST  # noqa: N815 (http.server's name)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
