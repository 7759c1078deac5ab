"""An hour of everything that is ordinary, and some of what is not: resident memory must stay where it is."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil

from service.stack.attack.finding import Finding
from service.stack.attack.memory import resident
from service.stack.attack.scene import Scene
from service.stack.attack.wire import connect, head, reset, say
from service.stack.bench.requests import Events, asked_for, reads
from service.stack.processes import Process

FLAT = 0.03  # the part by which the most may exceed the first, after the warm-up
WARM_UP = 10.0  # minutes; in a shorter run a third of it
RATES = {
    "connections": 40.0,
    "health checks": 10.0,
    "webhooks": 40.0,
    "strangers": 10.0,
    "API": 10.0,
    "new": 0.5,
}  # a second


def attack(scene: Scene) -> Iterator[Finding]:
    """Keep the load up; say each minute how much memory each process has."""
    minutes = scene.plan.minutes
    over = threading.Event()
    threads = [
        threading.Thread(target=_pace, args=(act, RATES[name], over), daemon=True) for name, act in _load(scene).items()
    ]
    watched = {"web": scene.web, "worker": scene.stack.workers[0]}
    readings: list[dict[str, float]] = []
    for thread in threads:
        thread.start()
    began = time.monotonic()
    warm = min(WARM_UP, minutes / 3)
    step = min(60.0, minutes * 60 / 12)
    while time.monotonic() - began < minutes * 60:
        time.sleep(step)
        at = (time.monotonic() - began) / 60
        now = {name: value for kind, process in watched.items() for name, value in _named(kind, process)}
        scene.telling.say(f"  {at:5.1f} min: " + ", ".join(f"{name} {value:.1f} MB" for name, value in now.items()))
        if at >= warm:
            readings.append(now)
    over.set()
    for thread in threads:
        thread.join()
    for name in readings[0]:
        values = [one.get(name, 0.0) for one in readings]
        grown = max(values) / values[0] - 1
        yield Finding(
            tried=f"{minutes:g} minutes of mixed load: {name}",
            came=f"{values[0]:.1f} MB after {warm:g} minutes, {values[-1]:.1f} in the end, at most {max(values):.1f}",
            limit=f"+{FLAT:.0%}",
            hurts=grown > FLAT or min(values) <= 0,
        )


def _named(kind: str, process: Process) -> list[tuple[str, float]]:
    with suppress(psutil.Error):
        return [(f"{kind}-{number}", value) for number, value in enumerate(resident(process), start=1)]
    return []


def _load(scene: Scene) -> dict[str, Callable[[], object]]:
    port = scene.port
    events = Events(scene.stack.webhook_secret, scene.stack.account)
    asked = asked_for(scene.stack.api_key, 1)[0]
    read = reads(scene.stack.api_key, ["/v1/appointments?limit=20"])[0]
    unsigned = head("POST", "/webhooks/cobalt", {"cobalt-verification": "0" * 64, "Content-Length": "2"}) + b"{}"

    def leave() -> None:
        connection = connect(port)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a")
        reset(connection)

    return {
        "connections": leave,
        "health checks": lambda: say(port, head("GET", "/readyz/api"), settled=0.01),
        "webhooks": lambda: say(port, events.unknown(1)[0], settled=0.01),
        "strangers": lambda: say(port, unsigned, settled=0.01),
        "API": lambda: say(port, read, settled=0.01),
        "new": lambda: say(port, asked, settled=0.01),
    }


def _pace(act: Callable[[], object], rate: float, over: threading.Event) -> None:
    due = time.monotonic()
    while not over.wait(max(0.0, due - time.monotonic())):
        due = max(due + 1 / rate, time.monotonic() - 1)
        with suppress(OSError):
            act()
