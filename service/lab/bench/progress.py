"""What people see of a benchmark while it runs."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_WIDTH = 160  # columns where there is no terminal to ask


class Telling:
    """Tells what happens, each line with the seconds since the start; bars are only for terminals."""

    def __init__(self) -> None:
        self.console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Write a line."""
        self.console.print(f"{time.monotonic() - self._began:6.1f} s  {text}", markup=False, soft_wrap=True)

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far something is that has so many steps; call what this gives with how many more are done."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(text, total=total)
            yield lambda steps: progress.advance(task, steps)
