"""A Cobalt over raw sockets, healthy towards some accounts and sick towards others.

The sandbox stands for a Cobalt that works; this one stands for what no server library would send.
"""

import itertools
import json
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

from service.lab.attack.illnesses import ENDS_WITH_CALLER, ILLNESSES, accepted, now, reply
from service.lab.processes import free_port

REDIRECT = "redirects elsewhere"
KINDS = (*ILLNESSES, REDIRECT)
_PATIENCE = 10.0  # seconds for a call to arrive


@dataclass(frozen=True)
class Call:
    """One call as it came."""

    method: str
    path: str
    token: str
    body: bytes


class ScriptedCobalt:
    """A server in threads; a context manager.

    Attributes:
        sick: access token -> illness, of `KINDS`; the others are answered as documented.
        references: access token -> Cobalt's name for that account, in events.
        calls: how many came, by access token.
        asked: MRN -> how often its appointment was asked for.
        strays: calls that followed a redirect.
    """

    def __init__(self) -> None:
        self.sick: dict[str, str] = {}
        self.references: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.strays = 0
        self._port = free_port()
        self._ids = itertools.count(100_000_001)
        self._booked: dict[str, tuple[str, str]] = {}  # Cobalt's id -> token, MRN
        self._open: dict[socket.socket, tuple[str, float]] = {}  # -> token, since when
        self._longest: dict[str, float] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()  # replaced when the sick are to let go
        self._end = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=512)
        self._thread = threading.Thread(target=self._accept, name="scripted Cobalt", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.let_go()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    @property
    def url(self) -> str:
        """For COBALT_BASE_URL."""
        return f"http://127.0.0.1:{self._port}/v1"

    def longest_call(self, token: str) -> float:
        """Seconds that the longest call of an account took until its end, or has taken until now."""
        with self._lock:
            under_way = [time.monotonic() - since for whose, since in self._open.values() if whose == token]
            return max([self._longest.get(token, 0.0), *under_way])

    def let_go(self) -> None:
        """Have all that is under way end at once."""
        self._over.set()
        self._over = threading.Event()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._end.is_set():
            with suppress(OSError):
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        over = self._over
        with connection, suppress(OSError):
            connection.settimeout(_PATIENCE)
            call = _read(connection)
            if call is None:
                return
            began = time.monotonic()
            with self._lock:
                self.calls[call.token] += 1
                self._open[connection] = (call.token, began)
            try:
                self._answer(connection, call, over)
            finally:
                with self._lock:
                    del self._open[connection]
                    self._longest[call.token] = max(self._longest.get(call.token, 0.0), time.monotonic() - began)

    def _answer(self, connection: socket.socket, call: Call, over: threading.Event) -> None:
        if (call.method, call.path) == ("POST", "/v1/appointments"):
            with self._lock:
                self.asked[json.loads(call.body)["mrn"]] += 1
        illness = self.sick.get(call.token)
        if not call.path.startswith("/v1/"):
            self.strays += 1
        elif illness == REDIRECT:
            connection.sendall(reply("307 Temporary Redirect", b"", "Location: /elsewhere"))
        elif illness:
            ILLNESSES[illness](connection, over)
            if illness in ENDS_WITH_CALLER:
                connection.recv(1)
        else:
            connection.sendall(self._healthy(call))

    def _healthy(self, call: Call) -> bytes:
        url = urlsplit(call.path)
        if (call.method, url.path) == ("POST", "/v1/appointments"):
            cobalt_id = str(next(self._ids))
            with self._lock:
                self._booked[cobalt_id] = (call.token, json.loads(call.body)["mrn"])
            return accepted(cobalt_id)
        if (call.method, url.path) == ("GET", "/v1/webhook-events"):
            job = parse_qs(url.query).get("job_id", [""])[0]
            return reply("200 OK", json.dumps({"success": True, "webhook_events": self._events(job)}).encode())
        if call.method == "GET":
            return reply("200 OK", b'{"success":true,"appointments":[]}')
        return reply("404 Not Found", b'{"success":false,"message":"no such thing"}')

    def _events(self, job: str) -> list[dict[str, object]]:
        """What it remembers of a job, in the shape with an event's own names [P]."""
        if job not in self._booked:
            return []
        token, mrn = self._booked[job]
        return [
            {
                "id": f"evt_scripted_{job}",
                "access_token_reference_id": self.references.get(token, token),
                "job_id": job,
                "object": "event",
                "created": now(),
                "type": "appointment.created",
                "status": "failed",
                "delivered": False,
                "data": {
                    "appointment_id": job,
                    "mrn": mrn,
                    "date_time": "2030-01-15T10:00",
                    "timezone": "America/New_York",
                },
            }
        ]


def _read(connection: socket.socket) -> Call | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = connection.recv(65_536)
        if not part:
            return None
        raw += part
    top, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65_536)
    method, path, _ = first.split(" ", 2)
    return Call(method, path, headers.get("access_token", ""), body)
