"""Readers of the environment: one function for each kind of setting, with an error that names the setting."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import tempfile
from dataclasses import Field, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
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


def setting(doc: str, read: Callable[[Env, str], Any], *, secret: bool = False) -> Any:  # noqa: ANN401
    """Declare one setting: what it means and how it is read."""
    return field(metadata={"doc": doc, "read": read}, repr=not secret)


def seconds(default: float, low: float, high: float) -> Callable[[Env, str], timedelta]:
    """Make a reader of a number of seconds between two bounds, which are good values too."""

    def read(env: Env, name: str) -> timedelta:
        return timedelta(seconds=env.float(name, default, validate=validate.Range(low, high)))

    return read


def integer(default: int, low: int, high: int) -> Callable[[Env, str], int]:
    """Make a reader of a whole number between two bounds, which are good values too."""
    return lambda env, name: env.int(name, default, validate=validate.Range(low, high))


def choice(default: str, *choices: str) -> Callable[[Env, str], str]:
    """Make a reader of one word out of several."""
    return lambda env, name: env.str(name, default, validate=validate.OneOf(choices))


def _required(env: Env, name: str) -> str:
    value = env.str(name).strip()
    if not value:
        raise SettingsError(f"{name}: is empty")
    return value


def fits_a_header(text: str) -> bool:
    """Tell whether a credential can be sent in an HTTP header as it is: printable ASCII, no line break."""
    return text.isascii() and text.isprintable()


def read_credential(env: Env, name: str) -> str:
    """Read a credential that must be there and fit into an HTTP header."""
    value = _required(env, name)
    if not fits_a_header(value):
        raise SettingsError(f"{name}: must be printable ASCII in one line, for it goes into an HTTP header")
    return value


def read_optional_credential(env: Env, name: str) -> str | None:
    """Read a credential that may be left out."""
    return read_credential(env, name) if env.str(name, "").strip() else None


def read_optional(env: Env, name: str) -> str | None:
    """Read a text that may be left out."""
    return env.str(name, "").strip() or None


def read_optional_port(env: Env, name: str) -> int | None:
    """Read a port that may be left out."""
    return integer(1, 1, 65535)(env, name) if env.str(name, "").strip() else None


def read_database_url(env: Env, name: str) -> str:
    """Read a libpq URL that must be there."""
    return _libpq_url(name, _required(env, name))


def read_optional_database_url(env: Env, name: str) -> str | None:
    """Read a libpq URL that may be left out."""
    url = read_optional(env, name)
    return url and _libpq_url(name, url)


def _libpq_url(name: str, url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(f"{name}: must be a libpq URL like postgresql://user@host/database")
    try:
        conninfo_to_dict(url)
    except ProgrammingError as error:
        raise SettingsError(f"{name}: is not a libpq URL that can be read") from error
    return url


def read_secrets(env: Env, name: str) -> tuple[str, ...]:
    """Read one or more secrets, separated by commas; there may be none where no webhooks come."""
    if env.str("WEBHOOKS", "on") == "off" and not env.str(name, "").strip():
        return ()
    secrets = tuple(part.strip() for part in _required(env, name).split(",") if part.strip())
    if not secrets:
        raise SettingsError(f"{name}: must name at least one secret, separated by commas")
    return secrets


def read_base_url(env: Env, name: str) -> str:
    """Read the address of Cobalt's API; plain http is accepted for a loopback address only."""
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


def read_encryption_keys(env: Env, name: str) -> tuple[str, ...]:
    """Read Fernet keys, separated by commas; there may be none."""
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


def read_timezone(env: Env, name: str) -> str | None:
    """Read an IANA time zone that may be left out."""
    zone = read_optional(env, name)
    if zone and not is_zone(zone):
        raise SettingsError(f"{name}: is not an IANA time zone like America/New_York")
    return zone


def read_spool_dir(env: Env, name: str) -> Path:
    """Read where the spool is; unless given, no other user and no other database has the same one."""
    given = env.str(name, "")
    if given:
        return Path(given)
    url = conninfo_to_dict(read_database_url(env, "DATABASE_URL"))
    digest = hashlib.sha256(repr([url.get(part) for part in WHICH_DATABASE]).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"cobalt-appointments-{os.geteuid()}-{digest}"


def environment() -> Env:
    """Return the environment; ``NAME_FILE`` may name a file that holds the value of ``NAME``."""
    return FileAwareEnv(strip_whitespace=True)  # a file that a person wrote ends in a newline


def read(env: Env, setting: Field[Any]) -> Any:  # noqa: ANN401
    """Read and check one setting.

    Raises:
        SettingsError: It is missing or malformed; one line that names it, without its value.
    """
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
