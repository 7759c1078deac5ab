"""Logs: JSON lines on standard output, with fields from a short allow-list."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, WrappedLogger

# An allow-list, because a deny-list forgets. None of these can hold an MRN, a note, a name or a secret.
FIELDS = frozenset(
    {
        "account", "address", "appointment_id", "attempt", "batch", "bytes", "category", "checks", "claimed",
        "cobalt_appointment_id", "constraint", "count", "counts", "database", "depth", "descriptors", "disposition",
        "error", "event", "event_id", "event_type", "http_status", "instance", "key_id", "level", "logger",
        "method", "nearest", "operation", "outcome", "pid", "problem", "reason_shape", "request_id", "route", "seconds",
        "setting", "signal", "source", "sqlstate", "state", "status", "submission", "timestamp", "tries", "until",
        "version", "where",
    }
)  # fmt: skip

SAMPLED_EVERY = 10.0
"""Seconds: whatever strangers send in a flood leaves six lines a minute."""

_ENCODER = json.JSONEncoder(default=repr)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process, including the libraries', through one JSON renderer.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``. Libraries log from ``warning`` up.
        stream: The destination; default standard output.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=[*shared, _library_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _only_known_fields, _write],
        )
    )
    # Skip what no line shows: it would cost time on each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("service").setLevel(level.upper())
    structlog.configure(
        processors=[*shared, _name_the_error, _only_known_fields, _write],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def adopt(name: str) -> None:
    """Route a library's logger, which has a handler of its own, through ours."""
    library = logging.getLogger(name)
    library.handlers = []
    library.propagate = True


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Get the logger of a module: call it with ``__name__``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


class Sampled:
    """Logs what strangers can cause endlessly: the first of a kind at once, then one line per interval for all of them.

    Safe to share between threads; each process has its own.

    Args:
        logger: Writes the lines.
        every: Seconds between two lines of one kind.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        logger: structlog.stdlib.BoundLogger,
        every: float = SAMPLED_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._every = every
        self._clock = clock
        self._said_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}
        self._lock = threading.Lock()

    def warning(self, event: str, **fields: object) -> None:
        """Log it, or count it for the next line of its kind.

        Args:
            event: The kind: a text of ours, of which there are few.
            fields: The fields of this instance; ``count`` is how many there were since the last line.
        """
        with self._lock:
            now = self._clock()
            self._unsaid[event] = self._unsaid.get(event, 0) + 1
            if now - self._said_at.get(event, -self._every) < self._every:
                return
            self._said_at[event] = now
            count = self._unsaid.pop(event)
        self._logger.warning(event, count=count, **fields)


class _Line(str):
    """A line that is already rendered."""

    __slots__ = ()


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Formats the libraries' lines; our own arrive rendered."""

    def format(self, record: logging.LogRecord) -> str:
        return record.msg if isinstance(record.msg, _Line) else super().format(record)


def _write(_logger: WrappedLogger, _method: str, event: EventDict) -> _Line:
    return _Line(_ENCODER.encode(event))


def _name_the_error(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn ``exc_info`` into the names of the exceptions and where they were raised.

    Messages and local values stay out: a driver's message may quote the row it could not write.
    """
    info = event.pop("exc_info", None)
    error = sys.exception() if info is True else info
    if isinstance(error, BaseException):
        event["error"] = " <- ".join(type(one).__qualname__ for one in _causes(error))
        event["where"] = " < ".join(_places(error))
        said = error if hasattr(error, "diag") else error.__cause__  # the driver's own, or SQLAlchemy's about it
        constraint = getattr(getattr(said, "diag", None), "constraint_name", None)
        if constraint:
            event["constraint"] = constraint
    return event


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or one.__context__
    return chain


def _places(error: BaseException, most: int = 4) -> list[str]:
    places = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{step.tb_lineno}")
        step = step.tb_next
    return places[::-1][:most]


def _library_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Reduce a library's line to its logger and template: the arguments may hold anything."""
    record: logging.LogRecord | None = event.get("_record")
    if record is not None:
        event["logger"] = record.name
        event["event"] = str(record.msg)[:200]
        if record.exc_info and record.exc_info[1]:
            event["exc_info"] = record.exc_info[1]
            _name_the_error(_logger, _method, event)
    return event


def _only_known_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if name in FIELDS}
