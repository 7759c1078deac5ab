"""Whole stacks for tests."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.lab.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running(**options: Any) -> Iterator[Stack]:
    """Have one run in a directory of its own, and kill it: to end in order takes seconds, and has its own tests.

    Args:
        options: As of ``Stack``.
    """
    with (
        tempfile.TemporaryDirectory(prefix="cobalt-stack-", ignore_cleanup_errors=True) as directory,
        Stack(Path(directory), **options) as stack,
    ):
        yield stack
        stack.kill()
