"""Starts, watches, freezes and ends child processes."""

import atexit
import contextlib
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import httpx
import psutil

from service.lab import reaper

LOG_TAIL_LINES = 20
# Trusts nobody: plain HTTP needs none, and to read the certificates of all authorities takes 20 ms for each client.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# Below the range that Linux hands out for outgoing connections, so that none of them sits on a drawn port.
PORT_RANGE = range(20_000, 32_768)

_drawn: set[int] = set()


class ProcessError(Exception):
    """A child process did not start or ended too early; the message holds the end of its log."""


class PortTakenError(Exception):
    """A port that was asked for belongs to somebody else."""


class Process:
    """One child process, in a session of its own: Ctrl-C reaches only the parent, which ends it in order.

    Args:
        name: what people call it, for messages.
        argv: the command.
        env: the whole environment; nothing is inherited.
        log: the file that its output is appended to.
        user: the system user to run as; needs root.
        cwd: the directory to run in.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        *,
        user: str | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.env = dict(env)
        self.log = log
        self.user = user
        self.cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        if self._popen is None:
            raise ProcessError(f"{self.name} was never started")
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the latest run ended; None while it runs."""
        return None if self._popen is None else self._popen.poll()

    def start(self) -> None:
        """Start it. Raises ProcessError when it already runs."""
        if self.is_running:
            raise ProcessError(f"{self.name} is already running")
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(  # noqa: S603  the command comes from our own code
                self.argv,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )
        _watch(self._popen.pid)

    def wait_ready(self, sign: str, timeout: float = 20) -> None:
        """Wait until the sign shows: a URL that answers 200, or a text in what the log got since the start.

        Raises:
            ProcessError: it ended first, or the sign did not show within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not (_answers(sign) if sign.startswith("http") else sign in self.log_text()):
            self.check()
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} was not ready after {timeout:g} s{self._log_end()}")
            time.sleep(0.03)

    def check(self) -> None:
        """Raise ProcessError when it is not running."""
        if not self.is_running:
            raise ProcessError(f"{self.name} ended with exit code {self.returncode}{self._log_end()}")

    def terminate(self, timeout: float = 10, signum: int = signal.SIGTERM) -> None:
        """Ask it to end, and kill it with its descendants if it is still there after `timeout` seconds."""
        if self._popen is None or not self.is_running:
            return
        members = reaper.hold_family(self.pid)
        self._popen.send_signal(signum)
        _resume(members)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout)
        reaper.kill(members)
        self._popen.wait()

    def kill(self) -> None:
        """End it and all its descendants at once, as a crash would; returns when the last one is gone."""
        if self._popen is None or not self.is_running:
            return
        reaper.kill(reaper.hold_family(self.pid))
        self._popen.wait()

    def freeze(self) -> None:
        """Stop it and all its descendants where they are."""
        for member in reaper.hold_family(self.pid)[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.suspend()

    def thaw(self) -> None:
        """Let it and all its descendants go on."""
        _resume(reaper.hold_family(self.pid))

    def restart(self) -> None:
        """End it in order, and start it again."""
        self.terminate()
        self.start()

    def log_text(self) -> str:
        """What the log got since the latest start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_tail(self) -> str:
        """The last lines of the log since the latest start."""
        return "\n".join(self.log_text().splitlines()[-LOG_TAIL_LINES:])

    def _log_end(self) -> str:
        tail = self.log_tail()
        return f"; the end of {self.log}:\n{tail}" if tail else f"; {self.log} is empty"


def _resume(members: Sequence[psutil.Process]) -> None:
    # Descendants first: a parent that goes on while they are stopped may take them for hung.
    for member in reversed(members):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.resume()


def _answers(url: str) -> bool:
    try:
        # trust_env: a proxy named in the environment has no business between us and our own children.
        return httpx.get(url, timeout=1, trust_env=False, verify=NO_TLS).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def free_port() -> int:
    """Draw a port of 127.0.0.1 that nobody listens on and that this process did not draw before."""
    for port in _draws():
        if port not in _drawn and port_is_free(port):
            _drawn.add(port)
            return port
    raise PortTakenError("found no free port on 127.0.0.1")


def _draws() -> Iterator[int]:
    # At random, so that two runs at once do not walk towards the same port.
    for _ in range(1000):
        yield secrets.choice(PORT_RANGE)


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: without it a port counts as taken for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


_reaper: subprocess.Popen[bytes] | None = None


def _watch(pid: int) -> None:
    """Have the process ended when this one is gone."""
    global _reaper  # noqa: PLW0603  one for the whole process
    if _reaper is None or _reaper.poll() is not None:
        _reaper = subprocess.Popen(  # noqa: S603  our own module
            [sys.executable, "-m", reaper.__name__],
            cwd=Path(__file__).parents[2],
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(_end_reaper, _reaper)
    assert _reaper.stdin is not None  # noqa: S101  asked for above
    _reaper.stdin.write(b"%d\n" % pid)
    _reaper.stdin.flush()


def _end_reaper(process: subprocess.Popen[bytes]) -> None:
    # It kills what is still there before it ends itself.
    process.communicate()


def interrupt_once() -> None:
    """From now on SIGTERM raises KeyboardInterrupt as Ctrl-C does, and only the first of them counts.

    A second one would break into the orderly end that the first one began; people and `make` send several.
    """

    def stop(_signum: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
