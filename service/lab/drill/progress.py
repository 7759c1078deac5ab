"""What people see of a drill while it runs."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

PLAIN_WIDTH = 120  # columns where there is no terminal to ask


class Progress:
    """Tells what happens, each line with the seconds since the start; on a terminal one more is kept up to date."""

    def __init__(self) -> None:
        self.console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
        self._began = time.monotonic()
        self._status = self.console.status("")

    def say(self, text: str) -> None:
        """Write a line."""
        self.console.print(f"{time.monotonic() - self._began:6.1f} s  {text}", markup=False, soft_wrap=True)

    def show(self, text: str) -> None:
        """Replace the line that is kept up to date; there is none where nobody watches."""
        self._status.update(text)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep that line up inside."""
        if not self.console.is_terminal:
            yield
            return
        with self._status:
            yield
