"""A flood of lines in the log: requests of strangers must not fill the disk."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from service.lab.attack.finding import Finding
from service.lab.attack.scene import Scene
from service.lab.attack.wire import connect, exchange, head, reset, say

MOST_LINES = 60  # of each kind, whatever the number of requests: a sampled line in a while from each process


def attack(scene: Scene) -> Iterator[Finding]:
    """Count the lines that each kind of request leaves."""
    count = round(scene.plan.either(300, 4000))
    wrong = {"cobalt-verification": "0" * 64, "Content-Length": "2"}
    kinds: Mapping[str, bytes] = {
        "unsigned webhooks": head("POST", "/webhooks/cobalt", {"Content-Length": "2"}) + b"{}",
        "wrongly signed webhooks": head("POST", "/webhooks/cobalt", wrong) + b"{}",
        "API requests without a key": head("GET", "/v1/appointments"),
        "requests to nowhere": head("GET", "/wp-login.php"),
        "requests that are no HTTP": b"no HTTP\r\n\r\n",
        "webhooks that break off": head("POST", "/webhooks/cobalt", {**wrong, "Content-Length": "1000"}) + b"{",
    }
    for name, request in kinds.items():
        before = _lines(scene)
        _send(scene.port, request, count, leave=name.endswith("break off"))
        lines = _lines(scene) - before
        yield Finding(
            tried=f"{count:,} {name}",
            came=f"{lines} lines in the log",
            limit=f"{MOST_LINES} lines",
            hurts=lines > MOST_LINES,
        )


def _send(port: int, request: bytes, count: int, *, leave: bool) -> None:
    sent = 0
    while sent < count:
        with suppress(OSError), connect(port) as connection:
            while sent < count:
                sent += 1
                if leave:
                    connection.sendall(request)
                    reset(connection)
                    break
                if exchange(connection, request, settled=0.0001).closed:
                    break
    say(port, head("GET", "/livez"))  # what was before it is written


def _lines(scene: Scene) -> int:
    return scene.web.log.read_bytes().count(b"\n")
