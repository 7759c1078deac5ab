"""The disk under the spools: a small one of its own, that can be filled while the rest of the machine has room."""

import contextlib
import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

SIZE = 8 * 1024 * 1024  # bytes; some thousand events
CHUNK = 64 * 1024
# Where no disk can be mounted the spool's own limit stands in: full after some fifty events.
SMALL_SPOOL = 64 * 1024


class SpoolDisk:
    """A context manager: inside, `directory` is a tmpfs, if this process may mount one.

    It forgets everything in a power cut, but power cuts are not among the faults: what a killed process has
    written stays.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.is_mounted = False
        self._is_wanted = False
        self._ballast = directory / "ballast"

    def __enter__(self) -> Self:
        self._is_wanted = True
        self.directory.mkdir(parents=True, exist_ok=True)
        mount = shutil.which("mount")
        if mount and os.geteuid() == 0:
            options = f"size={SIZE},mode=0700"
            argv = [mount, "-t", "tmpfs", "-o", options, "cobalt-drill", str(self.directory)]
            self.is_mounted = subprocess.run(argv, check=False, capture_output=True).returncode == 0  # noqa: S603
        return self

    def __exit__(self, *_: object) -> None:
        umount = shutil.which("umount")
        if self.is_mounted and umount:
            # Lazily: a process that is just ending may still have a file open there.
            subprocess.run([umount, "--lazy", str(self.directory)], check=False, capture_output=True)  # noqa: S603
            self.is_mounted = False

    @property
    def env(self) -> dict[str, str]:
        """What the web instances need to know of it."""
        return {"SPOOL_MAX_BYTES": str(SMALL_SPOOL)} if self._is_wanted and not self.is_mounted else {}

    def fill(self) -> None:
        """Leave no byte free. Does nothing where there is no disk of our own."""
        if not self.is_mounted:
            return
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (CHUNK, 1024, 1):
                with contextlib.suppress(_Full):
                    while True:
                        _write(ballast.fileno(), size)

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


class _Full(Exception):  # noqa: N818  it is what is wanted
    """The disk takes no more."""


def _write(file: int, size: int) -> None:
    try:
        os.write(file, bytes(size))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _Full from None
        raise
