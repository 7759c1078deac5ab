"""Slow and silent connections, by the thousand: closed when the settings say, with webhooks answered beside them."""

import threading
import time
from collections.abc import Iterator, Sequence

from service.config import Settings
from service.lab.attack.crowd import Crowd, Manner
from service.lab.attack.finding import MOST_GROWTH, SLOWEST_ANSWER, Finding
from service.lab.attack.memory import watching
from service.lab.attack.scene import Scene
from service.lab.attack.wire import head

MARGIN = 2.0  # seconds beyond a deadline: the service looks at intervals, and this machine is slow
DRIPPING = 300
GRACE = 10.0  # seconds in which the web process ends
SHARES = (0.35, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05)  # of all connections, in the order of the manners


def _manners(settings: Settings) -> Sequence[Manner]:
    first = settings.first_byte_timeout.total_seconds()
    whole_head = settings.head_timeout.total_seconds()
    body = settings.body_timeout.total_seconds()
    kept = settings.keepalive_timeout.total_seconds()
    post = head("POST", "/webhooks/cobalt", {"cobalt-verification": "0" * 64, "Content-Length": "100000"})
    api = head("POST", "/v1/appointments", {"Content-Type": "application/json", "Content-Length": "100000"})
    return (
        Manner("silent from the start", b"", b"", first),
        Manner("half a head", post[:40], b"", whole_head),
        Manner("a head, byte by byte", post[:40], b"X-A: b\r\n", whole_head),
        Manner("half a body", post + b"{", b"", body),
        Manner("a body, byte by byte", post, b"a", body),
        Manner("a body for the API, byte by byte", api, b"a", body),
        Manner("silent after an answer", head("GET", "/livez"), b"", kept, answered=True),
    )


def attack(scene: Scene) -> Iterator[Finding]:
    """Open all of them at once and watch until the last deadline is over."""
    manners = _manners(scene.settings)
    crowd = Crowd(scene.port, interval=scene.plan.either(0.2, 2))
    with scene.honest() as honest, watching(scene.web) as growth:
        began = time.monotonic()
        for manner, share in zip(manners, SHARES, strict=True):
            for _ in range(max(1, round(share * scene.plan.connections))):
                crowd.join(manner)
        give_up = began + max(manner.limit for manner in manners) + MARGIN + (time.monotonic() - began)
        while crowd.open() and time.monotonic() < give_up:
            crowd.watch(0.5)
        answers = honest.answers(began)
    slowest = crowd.slowest()
    for manner in manners:
        left = len(crowd.open(manner))
        count = sum(one.manner == manner for one in crowd.members)
        took = slowest.get(manner, 0.0)
        yield Finding(
            tried=f"{count} connections: {manner.name}",
            came=f"{left} still open after {took:.0f} s" if left else f"the last was closed after {took:.1f} s",
            limit=f"{manner.limit:g} s + {MARGIN:g} s",
            hurts=took > manner.limit + MARGIN,
        )
    crowd.close()
    yield Finding(
        tried=f"{len(crowd.members)} slow and silent connections together",
        came=f"{answers}; +{growth.most:.0f} MB",
        limit=f"{SLOWEST_ANSWER:g} s; +{MOST_GROWTH:.0f} MB",
        hurts=answers.hurts or growth.most > MOST_GROWTH,
    )
    if not scene.plan.short:
        yield _end_web(scene, manners)


def _end_web(scene: Scene, manners: Sequence[Manner]) -> Finding:
    """Ask the web process to end while bytes drip into it."""
    crowd = Crowd(scene.port, interval=0.2)
    dripping = [manner for manner in manners if manner.drip]
    for number in range(DRIPPING):
        crowd.join(dripping[number % len(dripping)])
    crowd.watch(0.5)
    began = time.monotonic()
    ending = threading.Thread(target=scene.web.terminate, args=(GRACE + 1,))
    ending.start()
    while ending.is_alive():
        crowd.watch(0.1)
    took = time.monotonic() - began
    crowd.close()
    clean = scene.web.returncode == 0
    scene.restart_web()
    return Finding(
        tried=f"SIGTERM to the web process while {DRIPPING} connections drip",
        came=f"ended after {took:.1f} s" + ("" if clean else ", killed"),
        limit=f"{GRACE:g} s",
        hurts=not clean or took > GRACE,
    )
