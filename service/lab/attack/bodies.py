"""Large bodies that stay unfinished: what a stranger can have buffered without having signed anything."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from service.lab.attack.finding import MOST_GROWTH, SLOWEST_ANSWER, Finding
from service.lab.attack.memory import watching
from service.lab.attack.scene import Scene
from service.lab.attack.wire import connect, head

SIZE = 1_000_000  # bytes, of a body that is a byte longer
JSON = {"Content-Type": "application/json"}
CASES = {
    "webhooks, unsigned": ("/webhooks/cobalt", {}),
    "webhooks, wrongly signed": ("/webhooks/cobalt", {"cobalt-verification": "0" * 64}),
    "appointments, without a key": ("/v1/appointments", JSON),
    "appointments, with a wrong key": ("/v1/appointments", JSON | {"Authorization": "Bearer cak_wrong"}),
}


def attack(scene: Scene) -> Iterator[Finding]:
    """Have so many bodies begun at once while honest webhooks come."""
    count = round(scene.plan.either(150, 400))
    with scene.honest() as honest:
        for name, (path, headers) in CASES.items():
            began = time.monotonic()
            with watching(scene.web) as growth, ExitStack() as unwind:
                request = head("POST", path, headers | {"Content-Length": str(SIZE + 1)}) + b"x" * SIZE
                for _ in range(count):
                    with suppress(OSError):  # refused: what was asked for
                        connection = unwind.enter_context(connect(scene.port, 1))
                        connection.settimeout(0.05)
                        connection.sendall(request)
                time.sleep(0.3)  # for what is read last
            answers = honest.answers(began)
            yield Finding(
                tried=f"{count} unfinished megabytes: {name}",
                came=f"{answers}; +{growth.most:.0f} MB",
                limit=f"{SLOWEST_ANSWER:g} s; +{MOST_GROWTH:.0f} MB",
                hurts=answers.hurts or growth.most > MOST_GROWTH,
            )
