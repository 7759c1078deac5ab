"""How many requests a key may make in a minute, and how many at once: in the memory of each web process."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import g

from service.web.policy.problems import problem
from service.web.services import services

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response

WINDOW = 60.0
"""Seconds: what a key has not used fills up again evenly, in a minute from nothing to all."""


def register(app: Flask) -> None:
    """Have every answer to a key say what is left to it."""
    app.after_request(_say_what_is_left)
    app.teardown_request(lambda _error: _give_back())


@dataclass(frozen=True, slots=True)
class Left:
    """What a key has left after a request.

    Args:
        limit: Requests a minute; 0 for no limit.
        remaining: Requests that it may make at once.
        reset: Seconds until it may make ``limit`` of them.
        retry_after: Seconds after which this request may come again; None where it was let in.
        place: The place among the requests in flight; None where it was not let in.
    """

    limit: int
    remaining: int
    reset: int
    retry_after: int | None
    place: Place | None


@dataclass(slots=True)
class _Key:
    tokens: float
    at: float
    in_flight: int = 0


class Limits:
    """Counts for every key; safe to share between threads.

    Args:
        rate: Requests a minute of one key; 0 for no limit.
        at_once: Requests in flight of one key; 0 for no limit.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, rate: int, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._at_once = at_once
        self._clock = clock
        self._keys: dict[str, _Key] = {}  # only keys that were found good come here
        self._lock = threading.Lock()

    def admit(self, key_id: str) -> Left:
        """Let one request of a key in, or not."""
        with self._lock:
            now = self._clock()
            key = self._keys.setdefault(key_id, _Key(self._rate, now))
            key.tokens = min(self._rate, key.tokens + (now - key.at) * self._rate / WINDOW)
            key.at = now
            retry_after = None
            if self._rate and key.tokens < 1:
                retry_after = math.ceil((1 - key.tokens) * WINDOW / self._rate)
            else:
                key.tokens -= 1
                if self._at_once and key.in_flight >= self._at_once:
                    retry_after = 1
                else:
                    key.in_flight += 1
            remaining = max(0, int(key.tokens))
            reset = math.ceil((self._rate - key.tokens) * WINDOW / self._rate) if self._rate else 0
        return Left(self._rate, remaining, reset, retry_after, None if retry_after else Place(self, key_id))

    def count(self, key_id: str, change: int) -> None:
        """Count a request of a key in flight, or no more."""
        with self._lock:
            self._keys[key_id].in_flight += change

    def in_flight(self, key_id: str) -> int:
        """Say how many requests of a key are in flight."""
        with self._lock:
            return self._keys[key_id].in_flight if key_id in self._keys else 0


class Place:
    """One request's place among those in flight; one thread at a time may use it."""

    def __init__(self, limits: Limits, key_id: str) -> None:
        self._limits = limits
        self._key_id = key_id
        self._held = True

    def release(self) -> None:
        """Leave the place to another request of the key; once more changes nothing."""
        if self._held:
            self._held = False
            self._limits.count(self._key_id, -1)


def refuse_too_many(key_id: str) -> Response | None:
    """Let the request under way in; returns the answer where the key makes too many."""
    left = services().limits.admit(key_id)
    g.left = left
    if left.retry_after is None:
        return None
    detail = (
        f"This key may make {left.limit} requests a minute; the header Retry-After says when to come back."
        if not left.remaining and left.limit
        else "Too many requests of this key are in flight; wait until some are answered."
    )
    return problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(left.retry_after)})


def _current_place() -> Place | None:
    """Get the place of the request under way."""
    left: Left | None = g.get("left")
    return left.place if left else None


def _say_what_is_left(response: Response) -> Response:
    left: Left | None = g.get("left")
    if left is None:
        return response
    if left.limit:
        # The three headers of the IETF's drafts 03 to 06, which clients know; later drafts have others.
        response.headers["RateLimit-Limit"] = str(left.limit)
        response.headers["RateLimit-Remaining"] = str(left.remaining)
        response.headers["RateLimit-Reset"] = str(left.reset)
    if response.is_streamed and left.place:
        g.streams = True
        response.call_on_close(left.place.release)  # it is in flight until the last byte is
    return response


def _give_back() -> None:
    place = _current_place()
    if place and not g.get("streams"):
        place.release()
