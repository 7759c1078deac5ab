"""Descriptors run out: many more silent connections than the web processes may have open at once."""

import time
from collections.abc import Iterator

from service.lab.attack.crowd import Crowd, Manner
from service.lab.attack.finding import SLOWEST_ANSWER, Finding
from service.lab.attack.scene import Scene

DESCRIPTORS = 256
SILENT = 900


def attack(scene: Scene) -> Iterator[Finding]:
    """Keep them all open, and open again what was closed, while honest webhooks come."""
    scene.restart_web(descriptors=DESCRIPTORS)
    crowd = Crowd(scene.port, interval=1)
    manner = Manner("silent", b"", b"", 0)
    with scene.honest() as honest:
        for _ in range(SILENT):
            crowd.join(manner)
        began = time.monotonic()
        until = began + scene.plan.either(3, 20)
        while time.monotonic() < until:
            crowd.watch(0.1)
            for _ in range(min(100, SILENT - len(crowd.open()))):
                crowd.join(manner)
        answers = honest.answers(began)
    crowd.close()
    yield Finding(
        tried=f"{SILENT} silent connections, opened again and again, at {DESCRIPTORS} descriptors a process",
        came=str(answers),
        limit=f"{SLOWEST_ANSWER:g} s",
        hurts=answers.hurts,
    )
