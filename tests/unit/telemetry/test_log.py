"""What strangers can cause without end does not fill the log."""

from __future__ import annotations

from typing import Any

from service.telemetry.log import Sampled


class Logger:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.said.append({"event": event} | fields)


def test_a_flood_leaves_one_line_in_a_while_that_says_how_many_there_were() -> None:
    logger, now = Logger(), [0.0]
    sampled = Sampled(logger, every=10, clock=lambda: now[0])  # type: ignore[arg-type]  # as much of one as is used
    for second in range(25):
        now[0] = float(second)
        for number in range(100):
            sampled.warning("refused", http_status=number)
    assert [(line["count"], line["http_status"]) for line in logger.said] == [(1, 0), (1000, 0), (1000, 0)]


def test_each_kind_has_its_own_first_line() -> None:
    logger = Logger()
    sampled = Sampled(logger, clock=lambda: 0.0)  # type: ignore[arg-type]  # as much of one as is used
    for event in ("one", "two", "one"):
        sampled.warning(event)
    assert [line["event"] for line in logger.said] == ["one", "two"]
