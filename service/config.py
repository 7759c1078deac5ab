"""Settings: the only reader of the environment, and the reasons for every default."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import tempfile
from dataclasses import Field, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from environs import Env, EnvError, FileAwareEnv, validate
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from service.domain.zones import is_zone
from service.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

COBALT = "https://api.usecobalt.com/v1"
WHICH_DATABASE = ("service", "host", "hostaddr", "port", "dbname", "user")
"""What of a libpq URL tells one database from another; the rest, such as a password, may change."""
TIME_FORMATS = ("as_given", "12_hour", "datetime")
"""How `date` and `time` go to Cobalt: untouched, as `h:mm am/pm`, or joined to one `datetime` with offset."""


def _setting(doc: str, read: Callable[[Env, str], Any], *, secret: bool = False) -> Any:  # noqa: ANN401
    """Declare one setting: what it means and how it is read."""
    return field(metadata={"doc": doc, "read": read}, repr=not secret)


def _seconds(default: float, low: float, high: float) -> Callable[[Env, str], timedelta]:
    def read(env: Env, name: str) -> timedelta:
        return timedelta(seconds=env.float(name, default, validate=validate.Range(low, high)))

    return read


def _integer(default: int, low: int, high: int) -> Callable[[Env, str], int]:
    return lambda env, name: env.int(name, default, validate=validate.Range(low, high))


def _choice(default: str, *choices: str) -> Callable[[Env, str], str]:
    return lambda env, name: env.str(name, default, validate=validate.OneOf(choices))


def _required(env: Env, name: str) -> str:
    value = env.str(name).strip()
    if not value:
        raise SettingsError(f"{name}: is empty")
    return value


def fits_a_header(text: str) -> bool:
    """Tell whether a credential can be sent in an HTTP header as it is: printable ASCII, no line break."""
    return text.isascii() and text.isprintable()


def _credential(env: Env, name: str) -> str:
    value = _required(env, name)
    if not fits_a_header(value):
        raise SettingsError(f"{name}: must be printable ASCII in one line, for it goes into an HTTP header")
    return value


def _optional_credential(env: Env, name: str) -> str | None:
    return _credential(env, name) if env.str(name, "").strip() else None


def _optional(env: Env, name: str) -> str | None:
    return env.str(name, "").strip() or None


def _optional_port(env: Env, name: str) -> int | None:
    return _integer(1, 1, 65535)(env, name) if env.str(name, "").strip() else None


def _database_url(env: Env, name: str) -> str:
    return _libpq_url(name, _required(env, name))


def _optional_database_url(env: Env, name: str) -> str | None:
    url = _optional(env, name)
    return url and _libpq_url(name, url)


def _libpq_url(name: str, url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(f"{name}: must be a libpq URL like postgresql://user@host/database")
    try:
        conninfo_to_dict(url)
    except ProgrammingError as error:
        raise SettingsError(f"{name}: is not a libpq URL that can be read") from error
    return url


def _secrets(env: Env, name: str) -> tuple[str, ...]:
    secrets = tuple(part.strip() for part in _required(env, name).split(",") if part.strip())
    if not secrets:
        raise SettingsError(f"{name}: must name at least one secret, separated by commas")
    return secrets


def _base_url(env: Env, name: str) -> str:
    url = env.str(name, COBALT).strip().rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{name}: is not a URL that can be read") from error
    if not parts.hostname or parts.scheme not in {"http", "https"} or port == 0 or not fits_a_header(url):
        raise SettingsError(f"{name}: must be an https URL like {COBALT}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(f"{name}: must be an address and a path only, like {COBALT}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError(f"{name}: plain http is for a loopback address only, use https")
    return url


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address is one of this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _encryption_keys(env: Env, name: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in env.str(name, "").split(",") if part.strip())
    for position, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError as error:
            raise SettingsError(
                f"{name}: key {position} is not 32 url-safe base64-encoded bytes; "
                "`cobalt-appointments keys encryption` prints a good one"
            ) from error
    return keys


def _timezone(env: Env, name: str) -> str | None:
    zone = _optional(env, name)
    if zone and not is_zone(zone):
        raise SettingsError(f"{name}: is not an IANA time zone like America/New_York")
    return zone


def _spool_dir(env: Env, name: str) -> Path:
    """Read where the spool is; unless given, no other user and no other database has the same one."""
    given = env.str(name, "")
    if given:
        return Path(given)
    url = conninfo_to_dict(_database_url(env, "DATABASE_URL"))
    digest = hashlib.sha256(repr([url.get(part) for part in WHICH_DATABASE]).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"cobalt-appointments-{os.geteuid()}-{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """What a command needs that asks the database only. Secrets stay out of ``repr``."""

    database_url: str = _setting(
        "PostgreSQL as a libpq URL, `postgresql://...`; sockets and several hosts allowed",
        _database_url,
        secret=True,
    )
    statement_timeout: timedelta = _setting("seconds for one statement of the API", _seconds(10, 0.1, 600))

    @classmethod
    def from_env(cls) -> Self:
        """Read and check these settings, and no other. ``NAME_FILE`` may name a file that holds the value of ``NAME``.

        Raises:
            SettingsError: A setting is missing or malformed; one line that names it, without its value.
        """
        env = _environment()
        settings = cls(**{setting.name: _read(env, setting) for setting in fields(cls)})
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        """Check what no setting tells alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings(DatabaseSettings):
    """What a command needs besides that knows the linked EHR accounts."""

    cobalt_account: str | None = _setting("one account without a table row: its `access_token_reference_id`", _optional)
    cobalt_access_token: str | None = _setting("the access token of that account", _optional_credential, secret=True)
    cobalt_time_format: str = _setting(
        "how that account is sent times: `as_given`, `12_hour` or `datetime`",
        _choice("as_given", *TIME_FORMATS),
    )
    cobalt_timezone: str | None = _setting(
        "the IANA time zone of that account's clinics; needed for `datetime`", _timezone
    )
    encryption_keys: tuple[str, ...] = _setting(
        "Fernet keys for stored access tokens, comma-separated; the first encrypts",
        _encryption_keys,
        secret=True,
    )

    def _check_together(self) -> None:
        if (self.cobalt_account is None) != (self.cobalt_access_token is None):
            missing = "COBALT_ACCOUNT" if self.cobalt_account is None else "COBALT_ACCESS_TOKEN"
            raise SettingsError(f"{missing}: is missing; COBALT_ACCOUNT and COBALT_ACCESS_TOKEN go together")
        if self.cobalt_time_format == "datetime" and not self.cobalt_timezone:
            raise SettingsError("COBALT_TIMEZONE: is needed when COBALT_TIME_FORMAT is datetime")


@dataclass(frozen=True, slots=True, kw_only=True)
class CobaltSettings(AccountSettings):
    """What a command needs besides that calls Cobalt."""

    cobalt_client_id: str = _setting("our client id at Cobalt", _credential, secret=True)
    cobalt_client_secret: str = _setting("our client secret at Cobalt", _credential, secret=True)
    cobalt_base_url: str = _setting("Cobalt's API; plain http only to a loopback address", _base_url)
    cobalt_timeout: timedelta = _setting(
        "seconds for one call to Cobalt in all, from the look-up of its name to the last byte of the reply",
        _seconds(30, 0.1, 600),
    )
    cobalt_reply_max_bytes: int = _setting(
        "the largest reply of Cobalt's that is read, unpacked; a hundred events take some 200 kB",
        _integer(1_048_576, 1024, 67_108_864),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CobaltSettings):
    """Everything that can be set from outside, read once at start by the processes that serve."""

    read_database_url: str | None = _setting(
        "a replica, as a libpq URL: lists, single appointments, timelines and figures are read there",
        _optional_database_url,
        secret=True,
    )
    read_after_write: timedelta = _setting(
        "seconds for which a key that wrote is not answered from the replica; one that is more than half of that "
        "behind is not used",
        _seconds(10, 1, 600),
    )
    cobalt_webhook_secrets: tuple[str, ...] = _setting(
        "webhook secrets, comma-separated; any may match, so that they can be rotated", _secrets, secret=True
    )
    cobalt_concurrency: int = _setting(
        "calls to Cobalt in flight at once, per worker; an account has no more than are left free: alone half",
        _integer(32, 1, 256),
    )
    lease_margin: timedelta = _setting(
        "seconds beyond `COBALT_TIMEOUT` for which a call is believed in, before its worker counts as lost",
        _seconds(30, 0, 3600),
    )
    spool_dir: Path = _setting("where events wait while PostgreSQL is away; must last", _spool_dir)
    spool_max_bytes: int = _setting(
        "how large the spool may grow; a million events take about 700 MB", _integer(1_073_741_824, 65_536, 2**40)
    )
    webhook_budget: timedelta = _setting(
        "seconds in which a webhook is answered; Cobalt's retry waits 2 s", _seconds(2, 0.2, 4.5)
    )
    webhook_max_bytes: int = _setting("the largest webhook body taken", _integer(1_048_576, 1024, 67_108_864))
    request_max_bytes: int = _setting("the largest other request body taken", _integer(262_144, 1024, 16_777_216))
    first_byte_timeout: timedelta = _setting(
        "seconds for the first byte of the first request on a connection", _seconds(10, 0.1, 600)
    )
    head_timeout: timedelta = _setting("seconds from there to the end of a request's headers", _seconds(10, 0.1, 600))
    body_timeout: timedelta = _setting("seconds from there to the end of its body", _seconds(20, 0.1, 600))
    keepalive_timeout: timedelta = _setting(
        "seconds that a connection may be silent between requests; longer than the load balancer keeps it, so that it "
        "is never the service that closes first",
        _seconds(75, 0.1, 3600),
    )
    send_timeout: timedelta = _setting(
        "seconds for which a client may read nothing of its answer", _seconds(30, 0.1, 600)
    )
    connection_limit: int = _setting(
        "connections of clients at once, per web process, as far as its open files (LimitNOFILE) allow; above it the "
        "one closes that was silent for longest",
        _integer(1000, 16, 100_000),
    )
    buffer_limit: int = _setting(
        "bytes of unfinished requests at once, per web process; above it the oldest of them is closed",
        _integer(16_777_216, 65_536, 2**40),
    )
    intake_batch: int = _setting("events that share one transaction at most", _integer(500, 1, 1000))
    intake_queue: int = _setting("events that may wait for a transaction", _integer(5000, 1, 100_000))
    database_pool: int = _setting(
        "requests of the API worked on at once, each with its connection to PostgreSQL, per process",
        _integer(10, 2, 200),
    )
    longest_wait: int = _setting(
        "seconds that `Prefer: wait` may wait; load balancers wait longer for an answer", _integer(30, 1, 300)
    )
    overdue_after: timedelta = _setting(
        "seconds after which a request that is still processing is overdue; Cobalt's robots take minutes",
        _seconds(900, 1, 604_800),
    )
    ask_interval: timedelta = _setting(
        "seconds before Cobalt is asked again about the same appointment; doubles up to 64 times that",
        _seconds(30, 0.05, 86_400),
    )
    ask_rate: float = _setting(
        "questions to Cobalt a second, per account and worker",
        lambda env, name: env.float(name, 2.0, validate=validate.Range(0.01, 1000)),
    )
    unconfirmed_after: timedelta = _setting(
        "seconds without evidence after which an unconfirmed submission fails; robots take minutes",
        _seconds(3600, 1, 604_800),
    )
    idempotency_ttl: timedelta = _setting(
        "seconds for which the first answer to an Idempotency-Key is kept", _seconds(86_400, 60, 2_592_000)
    )
    rate_limit: int = _setting(
        "requests a minute of one API key, per web process; 0 for no limit", _integer(6000, 0, 10_000_000)
    )
    in_flight_limit: int = _setting(
        "requests of one API key in flight at once, per web process, without those that only wait; 0 for no limit",
        _integer(32, 0, 10_000),
    )
    worker_grace: timedelta = _setting(
        "seconds in which a worker ends after SIGTERM; calls to Cobalt are broken off after four fifths of them",
        _seconds(25, 0.5, 3600),
    )
    worker_interval: timedelta = _setting("seconds between looks for due work", _seconds(0.2, 0.01, 60))
    port: int = _setting("the port the web process listens on", _integer(8000, 1, 65535))
    host: str = _setting("the address the web process listens on", lambda env, name: env.str(name, "127.0.0.1"))
    internal_port: int | None = _setting(
        "one more port, for operations: if set, `/metrics`, `/docs` and `/openapi.json` are answered there only",
        _optional_port,
    )
    internal_host: str = _setting("the address of that port", lambda env, name: env.str(name, "127.0.0.1"))
    web_concurrency: int = _setting("web worker processes", _integer(2, 1, 64))
    metrics_port: int | None = _setting(
        "the port on which a worker answers `/metrics`, `/livez` and `/readyz`; the web process has its own",
        _optional_port,
    )
    log_level: str = _setting(
        "`debug`, `info`, `warning` or `error`",
        _choice("info", "debug", "info", "warning", "error"),
    )


def read_setting(name: str) -> Any:  # noqa: ANN401 (each setting has its own type)
    """Read and check one setting, by its name in ``Settings``.

    Raises:
        SettingsError: It is missing or malformed; one line that names it, without its value.
    """
    return _read(_environment(), next(one for one in fields(Settings) if one.name == name))


def _environment() -> Env:
    return FileAwareEnv(strip_whitespace=True)  # a file that a person wrote ends in a newline


def _read(env: Env, setting: Field[Any]) -> Any:  # noqa: ANN401
    name = setting.name.upper()
    if os.environ.get(name) and os.environ.get(f"{name}_FILE"):
        raise SettingsError(f"{name}: is given twice, by itself and by {name}_FILE; keep one of them")
    try:
        return setting.metadata["read"](env, name)
    except EnvError as error:
        raise SettingsError(f"{name}: {_what_is_wrong(error, setting.metadata['doc'])}") from error
    except (ValueError, OSError) as error:
        raise SettingsError(f"{name}: the file that {name}_FILE names cannot be read as text") from error


def _what_is_wrong(error: EnvError, doc: str) -> str:
    """Say what is wrong without the value, which may be a secret."""
    if "not set" in str(error):
        return f"is missing ({doc})"
    return f"is malformed: expected {doc}"
