"""A connection to Cobalt on which every wait ends: by the deadline of its call, or when the process stops.

A socket's own time-out would restart with each byte that arrives.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import httpcore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
Address = tuple[Any, ...]

TICK = 0.1
"""Seconds between checks, during a wait, whether the process is stopping."""
STATUS_LINE = 64
"""Bytes of a reply that are kept in case the rest of its head cannot be read."""
TOO_LARGE = "the reply is too large"
STOPPED = "the worker stopped"


class BrokenOffError(Exception):
    """We aborted the exchange, or cannot read what arrived; the message says why."""


class Call:
    """The remaining budget of one exchange, and its progress.

    Args:
        seconds: For the whole exchange.
        most: Bytes that may come back in all.
        ending: Set when nobody needs the reply any more.
    """

    def __init__(self, seconds: float, most: int, ending: threading.Event) -> None:
        self._ends_at = time.monotonic() + seconds
        self._most = most
        self._ending = ending
        self.left = False
        """Whether a part of the request may have left."""
        self.beginning = b""
        """The first bytes of the reply."""

    def remaining(self) -> float:
        """Return how many seconds are left.

        Raises:
            TimeoutError: None.
            BrokenOffError: Nobody needs the reply any more.
        """
        if self._ending.is_set():
            raise BrokenOffError(STOPPED)
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def wait(self, connection: socket.socket, event: int, seconds: float | None = None) -> bool:
        """Wait until a connection can be used, at most ``seconds``; return whether it can."""
        poll = select.poll()
        poll.register(connection, event)
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            if poll.poll(min(TICK, self.remaining()) * 1000):
                return True
        return False

    def took(self, content: bytes) -> None:
        """Count the bytes that arrived.

        Raises:
            BrokenOffError: There are more than allowed.
        """
        self._most -= len(content)
        if self._most < 0:
            raise BrokenOffError(TOO_LARGE)
        if len(self.beginning) < STATUS_LINE:
            self.beginning += content[: STATUS_LINE - len(self.beginning)]


class Connecting(httpcore.NetworkBackend):
    """Connects, for one call."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (the call's deadline is the one that counts)
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Connect to one of a name's addresses; one that does not answer leaves time for the others."""
        try:
            addresses = _look_up(self._call, host, port)
            for number, (family, address) in enumerate(addresses):
                others = len(addresses) - number - 1
                try:
                    return _Stream(self._call, _connect(self._call, family, address, others))
                except OSError:
                    self._call.remaining()
                    if not others:
                        raise
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError from error
        raise httpcore.ConnectError


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait is the call's."""

    def __init__(self, call: Call, connection: socket.socket) -> None:
        self._call = call
        self._connection = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 (as above)
        """Read what has arrived, or wait for it."""
        try:
            content = self._when_ready(lambda: self._connection.recv(max_bytes), select.POLLIN)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError from error
        self._call.took(content)
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all of it."""
        rest = memoryview(buffer)
        try:
            while rest:
                self._call.remaining()
                self._call.left = True
                sent = self._when_ready(lambda: self._connection.send(rest), select.POLLOUT)  # noqa: B023 (runs at once)
                rest = rest[sent:]
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError from error

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Negotiate TLS."""
        try:
            secure = ssl_context.wrap_socket(
                self._connection, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._connection = secure
            self._when_ready(secure.do_handshake, select.POLLIN)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            self.close()
            raise httpcore.ConnectError from error
        except BrokenOffError:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close it at once, without a TLS goodbye that would have to be waited for."""
        self._connection.close()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 (httpcore's)
        """Tell httpcore whether TLS is in use, and which protocol was negotiated."""
        return self._connection if info == "ssl_object" and isinstance(self._connection, ssl.SSLSocket) else None

    def _when_ready(self, act: Callable[[], T], event: int) -> T:
        """Run an operation as soon as it does not block."""
        while True:
            self._call.remaining()  # also where there is always something to read
            try:
                return act()
            except ssl.SSLWantReadError:
                self._call.wait(self._connection, select.POLLIN)
            except ssl.SSLWantWriteError:
                self._call.wait(self._connection, select.POLLOUT)
            except BlockingIOError:
                self._call.wait(self._connection, event)


def _look_up(call: Call, host: str, port: int) -> list[tuple[int, Address]]:
    """Resolve a name in a thread of its own: the system's resolver has no deadline."""
    found: list[Any] = []
    done = threading.Event()

    def resolve() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            pass
        finally:
            done.set()

    threading.Thread(target=resolve, name="resolver", daemon=True).start()
    while not done.wait(min(TICK, call.remaining())):
        pass
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, "no such name")
    return [(family, address) for family, _, _, _, address in found]


def _connect(call: Call, family: int, address: Address, others: int) -> socket.socket:
    """Connect to one address, within a fair share of the time if there are others to try."""
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _establish(call, connection, address, others)
    except BaseException:
        connection.close()
        raise
    return connection


def _establish(call: Call, connection: socket.socket, address: Address, others: int) -> None:
    code = connection.connect_ex(address)
    if code == errno.EINPROGRESS:
        longest = call.remaining() / (others + 1) if others else None
        if not call.wait(connection, select.POLLOUT, longest):
            raise TimeoutError
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, "cannot connect")
