"""`python -m service.lab.scratch -- COMMAND...`: runs a command with an empty database of its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from service.lab.postgres import EmbeddedPostgres
from service.lab.processes import ProcessError, interrupt_once


def run(command: list[str]) -> int:
    """Run it with DATABASE_URL in its environment and return its exit code."""
    interrupt_once()
    with tempfile.TemporaryDirectory(prefix="cobalt-scratch-") as directory:
        # Nothing here outlives the command, so nothing needs to survive a power cut.
        postgres = EmbeddedPostgres(Path(directory), settings={"fsync": "off"})
        try:
            postgres.start()
            env = {**os.environ, "DATABASE_URL": postgres.url()}
            return subprocess.run(command, env=env, check=False).returncode  # noqa: S603  what we are for
        finally:
            postgres.stop()


def main() -> None:
    """Read the command after `--`."""
    if sys.argv[1:2] != ["--"] or not sys.argv[2:]:
        sys.exit("usage: python -m service.lab.scratch -- COMMAND...")
    try:
        sys.exit(run(sys.argv[2:]))
    except ProcessError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
