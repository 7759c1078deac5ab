"""An hour of everything that is ordinary, and some of what is not: resident memory must stay where it is."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import psutil

from service.lab.attack.asking import appointment_for
from service.lab.attack.finding import Finding
from service.lab.attack.memory import resident
from service.lab.attack.scene import Scene
from service.lab.attack.wire import connect, head, reset, say
from service.lab.bench.requests import Events, http_request, reads
from service.lab.processes import Process

FLAT = 0.03  # the part by which the most may exceed the first, after the warm-up
WARM_UP = 10.0  # minutes; in a shorter run a third of it
MISSED = "not answered: "


@dataclass(frozen=True)
class Load:
    """One kind of load.

    Attributes:
        rate: how often a second.
        act: does it once; tells whether it was answered as it should be.
    """

    name: str
    rate: float
    act: Callable[[], bool]


def attack(scene: Scene) -> Iterator[Finding]:
    """Keep the load up; say each minute how much memory each process has."""
    minutes = scene.plan.minutes
    over = threading.Event()
    done: Counter[str] = Counter()
    loads = _loads(scene)
    threads = [threading.Thread(target=_pace, args=(load, over, done), daemon=True) for load in loads]
    for thread in threads:
        thread.start()
    readings = list(_readings(scene, minutes))
    missing = scene.plan.either(0.02, 0.001)
    over.set()
    for thread in threads:
        thread.join()
    for name in readings[0]:
        values = [one.get(name, 0.0) for one in readings]
        yield Finding(
            tried=f"{minutes:g} minutes of mixed load: {name}",
            came=f"{values[0]:.1f} MB after the warm-up, {values[-1]:.1f} in the end, at most {max(values):.1f}",
            limit=f"+{FLAT:.0%}",
            hurts=max(values) > (1 + FLAT) * values[0] or min(values) <= 0,
        )
    yield Finding(
        tried=f"{minutes:g} minutes of mixed load: is all of it answered?",
        came=", ".join(f"{done[one.name]:,} {one.name} and {done[MISSED + one.name]:,} not" for one in loads),
        limit=f"all but {missing:.1%}",
        hurts=any(done[MISSED + one.name] > missing * done[one.name] or not done[one.name] for one in loads),
    )


def _readings(scene: Scene, minutes: float) -> Iterator[dict[str, float]]:
    """Resident megabytes of each process, once a minute, from the end of the warm-up on."""
    watched = {"web": scene.web, "worker": scene.stack.workers[0]}
    began = time.monotonic()
    step = min(60.0, minutes * 60 / 12)
    at = 0.0
    while at < minutes:
        time.sleep(step)
        at = (time.monotonic() - began) / 60
        now = {name: value for kind, process in watched.items() for name, value in _named(kind, process)}
        scene.telling.say(f"  {at:5.1f} min: " + ", ".join(f"{name} {value:.1f} MB" for name, value in now.items()))
        if at >= min(WARM_UP, minutes / 3):
            yield now


def _named(kind: str, process: Process) -> list[tuple[str, float]]:
    with suppress(psutil.Error):
        return [(f"{kind}-{number}", value) for number, value in enumerate(resident(process), start=1)]
    return []


def _loads(scene: Scene) -> Sequence[Load]:
    port = scene.port
    events = Events(scene.stack.webhook_secret, scene.stack.account)
    key = {"Authorization": f"Bearer {scene.stack.api_key}", "Content-Type": "application/json"}
    account = scene.stack.account
    read = reads(scene.stack.api_key, ["/v1/appointments?limit=20"])[0]
    unsigned = head("POST", "/webhooks/cobalt", {"cobalt-verification": "0" * 64, "Content-Length": "2"}) + b"{}"

    def leave() -> bool:
        connection = connect(port)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a")
        reset(connection)
        return True

    def ask(request: bytes, status: int) -> bool:
        return say(port, request, settled=0.01).statuses == [status]

    def new() -> bool:
        body = json.dumps(appointment_for(account)).encode()
        return ask(http_request("POST", "/v1/appointments", key, body), HTTPStatus.ACCEPTED)

    return (
        Load("connections", 40, leave),
        Load("health checks", 10, lambda: ask(head("GET", "/readyz/api"), HTTPStatus.OK)),
        Load("webhooks", 40, lambda: ask(events.unknown(1)[0], HTTPStatus.OK)),
        Load("strangers", 10, lambda: ask(unsigned, HTTPStatus.UNAUTHORIZED)),
        Load("pages of the list", 10, lambda: ask(read, HTTPStatus.OK)),
        Load("requests for appointments", 0.5, new),
    )


def _pace(load: Load, over: threading.Event, done: Counter[str]) -> None:
    due = time.monotonic()
    while not over.wait(max(0.0, due - time.monotonic())):
        due = max(due + 1 / load.rate, time.monotonic() - 1)
        answered = False
        with suppress(OSError):
            answered = load.act()
        done[load.name if answered else MISSED + load.name] += 1
